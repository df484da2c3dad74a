/*
 * Small helpers that every folder uses.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_UTIL_UTIL_H
#define FERRY_UTIL_UTIL_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include "util/error.h"

#define KiB (1ULL << 10)
#define MiB (1ULL << 20)
#define GiB (1ULL << 30)

#define ARRAY_SIZE(a) G_N_ELEMENTS(a)
#define ROUND_UP(n, align) (((n) + (align) - 1) & ~((__typeof__(n))(align) - 1))
#define ROUND_DOWN(n, align) ((n) & ~((__typeof__(n))(align) - 1))
#define IS_ALIGNED(n, align) (((n) & ((__typeof__(n))(align) - 1)) == 0)
#define container_of(ptr, type, member) \
    ((type *)((char *)(1 ? (ptr) : &((type *)0)->member) - offsetof(type, member)))

/* A file descriptor that is closed when it goes out of scope: g_auto(AutoFd) fd = -1 */
typedef int AutoFd;
static inline void auto_fd_clear(AutoFd *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(AutoFd, auto_fd_clear)

/* Close *fd when it is open and make it -1. */
static inline void close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

/* Nanoseconds/milliseconds of CLOCK_MONOTONIC of the host. */
int64_t host_clock_ns(void);
int64_t host_clock_ms(void);

/*
 * Parse a size: "64M", "1G", "0x1000", "4096", fractions as "1.5G".  Without a
 * suffix the number is in units of default_suffix ('B', 'K', 'M', ...).  Returns
 * false when s is not wholly a size or does not fit in 64 bits.
 */
bool parse_size(const char *s, char default_suffix, uint64_t *ret_bytes);
/* "4 KiB", "1.5 GiB"; free with g_free(). */
char *size_to_str(uint64_t bytes);
/* on/yes/true/y, off/no/false/n. */
bool parse_bool(const char *s, bool *ret_value);
/* Decimal, 0x hexadecimal or 0 octal; the whole string must be the number. */
bool parse_u64(const char *s, uint64_t *ret_value);
/* 8-4-4-4-12 hexadecimal digits. */
bool parse_uuid(const char *s, uint8_t ret_uuid[16]);
char *uuid_to_str(const uint8_t uuid[16]);

/* True when the n bytes at p are all zero. */
bool buffer_is_zero(const void *p, size_t n);

/*
 * Start a thread called name (at most 15 characters are shown by the kernel);
 * signals that the main thread handles are blocked in it.  Aborts when the host
 * cannot make a thread.
 */
GThread *thread_start(const char *name, GThreadFunc fn, gpointer opaque);
/* The same for whoever can do without: NULL with errp set when the host cannot. */
GThread *thread_try_start(const char *name, GThreadFunc fn, gpointer opaque, Error **errp);

/* From now on every new thread calls this first, with its name.  Before there are threads. */
void thread_set_prologue(void (*fn)(const char *name));

/*
 * Run fn, which starts another program (or becomes one), and wait for it: here, or where
 * set_spawner() says.  Any thread.
 */
void run_spawning(void (*fn)(void *opaque), void *opaque);
/* Before there are threads: the caller's thread may not start programs, this place may. */
void set_spawner(void (*run)(void (*fn)(void *opaque), void *opaque));

/* Make fd (non-)blocking; false with errno set. */
bool fd_set_blocking(int fd, bool blocking);

#endif
