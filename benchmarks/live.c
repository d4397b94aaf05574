/* The bare system calls of benchmarks/live.py: seconds for so many rounds of its seven steps. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096UL
#define BASE ((char *)0x100000000UL)

static void must(int holds, const char *what)
{
	if (!holds) {
		perror(what);
		_exit(1);
	}
}

static void child(void)
{
	memset(BASE, 2, 4 * PAGE);
	must(mprotect(BASE, 4 * PAGE, PROT_READ) == 0, "mprotect");
	_exit(0);
}

int main(int argc, char **argv)
{
	struct timespec from, to;
	long rounds = argc > 1 ? atol(argv[1]) : 1000;

	clock_gettime(CLOCK_MONOTONIC, &from);
	for (long round = 0; round < rounds; round++) {
		void *at = mmap(BASE, 8 * PAGE, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
		must(at == BASE, "mmap");
		memset(BASE, 1, 8 * PAGE);
		pid_t pid = fork();
		must(pid >= 0, "fork");
		if (pid == 0)
			child();
		must(waitpid(pid, NULL, 0) == pid, "waitpid");
		must(munmap(BASE, 8 * PAGE) == 0, "munmap");
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	printf("%.9f\n", (to.tv_sec - from.tv_sec) + (to.tv_nsec - from.tv_nsec) / 1e9);
	return 0;
}
