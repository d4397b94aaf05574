/* A forking server: one child for each request, which answers from memory of its own, filled by a
 * thread, and grown by mremap. Its clients are its children, too. cc -O2 -pthread server.c */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define SMALL (64UL << 10)
#define LARGE (256UL << 10)
#define REQUESTS 12

static char *cache; /* written before the forks, so that every child shares it */

static void must(int holds, const char *what)
{
	if (!holds) {
		perror(what);
		_exit(1);
	}
}

static void *fill(void *buffer)
{
	memcpy(buffer, cache, SMALL);
	return NULL;
}

static void serve(int connection)
{
	pthread_t worker;
	char request;
	char *answer = mmap(NULL, SMALL, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(answer != MAP_FAILED, "mmap");
	must(read(connection, &request, 1) == 1, "read");
	must(pthread_create(&worker, NULL, fill, answer) == 0, "pthread_create");
	pthread_join(worker, NULL);
	answer = mremap(answer, SMALL, LARGE, MREMAP_MAYMOVE);
	must(answer != MAP_FAILED, "mremap");
	memset(answer + SMALL, request, 4096);
	cache[0] = request;
	must(write(connection, answer, 1) == 1, "write");
	exit(0);
}

static void ask(const struct sockaddr *address, socklen_t length)
{
	int connection = socket(AF_UNIX, SOCK_STREAM, 0);
	char answer;

	must(connect(connection, address, length) == 0, "connect");
	must(write(connection, "?", 1) == 1, "write");
	must(read(connection, &answer, 1) == 1, "read");
	_exit(0);
}

int main(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t length = sizeof(sa_family_t) + 1 + snprintf(address.sun_path + 1, 64, "%d", getpid());
	int listening = socket(AF_UNIX, SOCK_STREAM, 0);

	must(bind(listening, (struct sockaddr *)&address, length) == 0, "bind");
	must(listen(listening, REQUESTS) == 0, "listen");
	cache = mmap(NULL, SMALL, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(cache != MAP_FAILED, "mmap");
	memset(cache, 1, SMALL);
	for (int number = 0; number < REQUESTS; number++)
		if (fork() == 0)
			ask((struct sockaddr *)&address, length);
	for (int number = 0; number < REQUESTS; number++) {
		int connection = accept(listening, NULL, NULL);
		must(connection >= 0, "accept");
		if (fork() == 0)
			serve(connection);
		close(connection);
	}
	while (wait(NULL) > 0)
		;
	return 0;
}
