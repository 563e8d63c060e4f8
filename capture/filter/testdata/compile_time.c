/*
 * compile_time.c - how long libpcap takes to compile expressions.
 *
 * Reads one expression a line for an Ethernet, compiles each until 20 ms are
 * over or 20 times, and prints the microseconds that one compilation took, a
 * line each: the fastest, as all that makes one slower is not the compiler.
 *
 *   cc -O2 -Wall -o compile_time compile_time.c -lpcap
 */
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

int main(void)
{
	pcap_t *pd = pcap_open_dead(DLT_EN10MB, 262144);
	char *line = NULL;
	size_t size = 0;
	ssize_t n;

	while ((n = getline(&line, &size, stdin)) != -1) {
		double fastest = 1e12, spent = 0;

		if (n && line[n - 1] == '\n')
			line[n - 1] = 0;
		for (int i = 0; i < 20 && spent < 20000; i++) {
			struct bpf_program p;
			double start = now(), took;
			int ok = pcap_compile(pd, &p, line, 1, 0) == 0;

			took = now() - start;
			spent += took;
			if (took < fastest)
				fastest = took;
			if (ok)
				pcap_freecode(&p);
		}
		printf("%.3f\n", fastest);
	}
	return 0;
}
