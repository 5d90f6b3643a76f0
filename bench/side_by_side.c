/*
 * Runs programs in turn, many times, and prints for each of them, on a line of its own:
 *
 *     MEDIAN_MICROSECONDS PEAK_KIB LAST_EXIT_CODE
 *
 *     side_by_side RUNS PROGRAM [ARGUMENT...] [-- PROGRAM [ARGUMENT...]]...
 *
 * The time is from before posix_spawn to after wait4; the peak is the largest resident set of all runs. It is in C
 * because a child is charged with the memory of the process that starts it, and because starting it has to cost little
 * beside a program that ends at once. stdin, stdout and stderr of the programs are /dev/null.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

enum { MAX_PROGRAMS = 8, MAX_RUNS = 100000 };

extern char **environ;

struct program {
    char **argv;
    long *times;
    long peak;
    int code;
};

static long now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000L + t.tv_nsec;
}

static int by_size(const void *a, const void *b) {
    long x = *(const long *)a, y = *(const long *)b;
    return (x > y) - (x < y);
}

static void run_once(struct program *p, int number, posix_spawn_file_actions_t *quiet) {
    pid_t pid;
    int status;
    struct rusage usage;
    long start = now();
    if (posix_spawnp(&pid, p->argv[0], quiet, NULL, p->argv, environ) != 0) {
        perror(p->argv[0]);
        exit(1);
    }
    if (wait4(pid, &status, 0, &usage) != pid) {
        perror("wait4");
        exit(1);
    }
    p->times[number] = now() - start;
    if (usage.ru_maxrss > p->peak) p->peak = usage.ru_maxrss;
    p->code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv) {
    struct program programs[MAX_PROGRAMS];
    int count = 0, runs = argc > 2 ? atoi(argv[1]) : 0;
    if (runs < 1 || runs > MAX_RUNS) {
        fprintf(stderr, "usage: side_by_side RUNS PROGRAM [ARGUMENT...] [-- PROGRAM [ARGUMENT...]]...\n");
        return 2;
    }
    for (int i = 2; i < argc && count < MAX_PROGRAMS; i++) {
        programs[count++] = (struct program){&argv[i], calloc(runs, sizeof(long)), 0, 0};
        while (i < argc && strcmp(argv[i], "--") != 0) i++;
        if (i < argc) argv[i] = NULL;
    }
    posix_spawn_file_actions_t quiet;
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&quiet, 2, "/dev/null", O_WRONLY, 0);
    for (int run = 0; run < runs; run++)
        for (int i = 0; i < count; i++) run_once(&programs[i], run, &quiet);
    for (int i = 0; i < count; i++) {
        qsort(programs[i].times, runs, sizeof(long), by_size);
        printf("%.1f %ld %d\n", programs[i].times[runs / 2] / 1000.0, programs[i].peak, programs[i].code);
    }
    return 0;
}
