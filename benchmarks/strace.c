/* The system calls of benchmarks/strace.py, done for real: one of its two shapes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096UL
#define PAGES 16
#define BASE ((char *)0x100000000UL)

static void must(int holds, const char *what)
{
	if (!holds) {
		perror(what);
		_exit(1);
	}
}

static void map(void)
{
	void *at = mmap(BASE, PAGES * PAGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	must(at == BASE, "mmap");
	memset(BASE, 1, PAGES * PAGE);
}

/* A process after the other: five calls a round. */
static void rounds(long count)
{
	for (long round = 0; round < count; round++) {
		map();
		pid_t pid = fork();
		must(pid >= 0, "fork");
		if (pid == 0) {
			BASE[0] = 2;
			must(mprotect(BASE, PAGE, PROT_READ) == 0, "mprotect");
			_exit(0);
		}
		must(waitpid(pid, NULL, 0) == pid, "waitpid");
		must(munmap(BASE, PAGES * PAGE) == 0, "munmap");
	}
}

/* All processes at once: each child waits until the pipe is closed. */
static void crowd(long count)
{
	int ends[2];
	char byte;

	must(pipe(ends) == 0, "pipe");
	map();
	for (long number = 0; number < count; number++) {
		pid_t pid = fork();
		must(pid >= 0, "fork");
		if (pid == 0) {
			close(ends[1]);
			BASE[0] = 2;
			must(read(ends[0], &byte, 1) == 0, "read");
			_exit(0);
		}
	}
	close(ends[1]);
	while (wait(NULL) > 0)
		;
}

int main(int argc, char **argv)
{
	must(argc == 3, "usage: strace calls|alive COUNT");
	(strcmp(argv[1], "calls") == 0 ? rounds : crowd)(atol(argv[2]));
	return 0;
}
