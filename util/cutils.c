/*
 * Parsing and formatting of what people type, clocks, threads, descriptors.  Pure.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "util/fault.h"
#include "util/util.h"

int64_t host_clock_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

int64_t host_clock_ms(void)
{
    return host_clock_ns() / 1000000;
}

/* Power of 1024 that a size suffix stands for, -1 when c is none. */
static int suffix_power(char c)
{
    static const char suffixes[] = "BKMGTPE";
    const char *p = c ? strchr(suffixes, g_ascii_toupper(c)) : NULL;

    return p ? (int)(p - suffixes) : -1;
}

bool parse_size(const char *s, char default_suffix, uint64_t *ret_bytes)
{
    bool hex = g_str_has_prefix(s, "0x") || g_str_has_prefix(s, "0X");
    uint64_t whole, unit;
    double fraction = 0;
    char *end;
    int power;

    if (!g_ascii_isdigit(*s)) {
        return false;
    }
    errno = 0;
    whole = g_ascii_strtoull(s, &end, hex ? 16 : 10);
    if (errno) {
        return false;
    }
    if (*end == '.' && !hex) {
        fraction = g_ascii_strtod(end, &end);
    }
    power = suffix_power(*end ? *end : default_suffix);
    if (power < 0 || (*end && end[1])) {
        return false;
    }
    unit = 1ULL << (10 * power);
    if (whole > UINT64_MAX / unit) {
        return false;
    }
    *ret_bytes = whole * unit + (uint64_t)llround(fraction * (double)unit);
    return true;
}

char *size_to_str(uint64_t bytes)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    double v = (double)bytes;
    unsigned u = 0;

    while (v >= 1000 && u + 1 < ARRAY_SIZE(units)) {
        v /= 1024;
        u++;
    }
    return g_strdup_printf("%0.3g %s", v, units[u]);
}

bool parse_bool(const char *s, bool *ret_value)
{
    static const char *const on[] = { "on", "yes", "true", "y", NULL };
    static const char *const off[] = { "off", "no", "false", "n", NULL };

    *ret_value = g_strv_contains(on, s);
    return *ret_value || g_strv_contains(off, s);
}

bool parse_u64(const char *s, uint64_t *ret_value)
{
    char *end;
    uint64_t v;

    if (!g_ascii_isdigit(*s)) {
        return false;
    }
    errno = 0;
    v = g_ascii_strtoull(s, &end, 0);
    if (errno || *end) {
        return false;
    }
    *ret_value = v;
    return true;
}

bool parse_uuid(const char *s, uint8_t ret_uuid[16])
{
    uint8_t uuid[16];

    if (!g_uuid_string_is_valid(s)) {
        return false;
    }
    for (int i = 0; i < 16; i++) {
        s += *s == '-';
        uuid[i] = g_ascii_xdigit_value(s[0]) << 4 | g_ascii_xdigit_value(s[1]);
        s += 2;
    }
    memcpy(ret_uuid, uuid, 16);
    return true;
}

char *uuid_to_str(const uint8_t u[16])
{
    return g_strdup_printf("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
                           u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10],
                           u[11], u[12], u[13], u[14], u[15]);
}

static void (*prologue)(const char *name); /* set before there are threads */

void thread_set_prologue(void (*fn)(const char *name))
{
    prologue = fn;
}

typedef struct ThreadStart {
    GThreadFunc fn;
    gpointer opaque;
    char name[];
} ThreadStart;

static gpointer run_thread(gpointer opaque)
{
    g_autofree ThreadStart *start = opaque;
    GThreadFunc fn = start->fn;
    gpointer arg = start->opaque;

    if (prologue) {
        prologue(start->name);
    }
    g_free(g_steal_pointer(&start));
    return fn(arg);
}

static void (*spawner)(void (*fn)(void *opaque), void *opaque); /* set before there are threads */

void set_spawner(void (*run)(void (*fn)(void *opaque), void *opaque))
{
    spawner = run;
}

void run_spawning(void (*fn)(void *opaque), void *opaque)
{
    if (spawner) {
        spawner(fn, opaque);
    } else {
        fn(opaque);
    }
}

static GThread *start_thread(const char *name, GThreadFunc fn, gpointer opaque, GError **err)
{
    ThreadStart *start = g_malloc(sizeof(*start) + strlen(name) + 1);
    sigset_t all, old;
    GThread *t;

    start->fn = fn;
    start->opaque = opaque;
    strcpy(start->name, name);

    /* Signals that end or control the program belong to the main thread. */
    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    sigdelset(&all, SIGSYS);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    t = g_thread_try_new(name, run_thread, start, err);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (!t) {
        g_free(start);
    }
    return t;
}

GThread *thread_start(const char *name, GThreadFunc fn, gpointer opaque)
{
    g_autoptr(GError) err = NULL;
    GThread *t = start_thread(name, fn, opaque, &err);

    if (!t) {
        g_error("cannot make the thread '%s': %s", name, err->message);
    }
    return t;
}

GThread *thread_try_start(const char *name, GThreadFunc fn, gpointer opaque, Error **errp)
{
    g_autoptr(GError) err = NULL;
    GThread *t = fault_point(FAULT_NEW_THREAD) ? NULL : start_thread(name, fn, opaque, &err);

    if (!t) {
        error_setg(errp, "cannot make the thread '%s': %s", name,
                   err ? err->message : g_strerror(EAGAIN));
    }
    return t;
}

bool fd_set_blocking(int fd, bool blocking)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0) {
        return false;
    }
    return fcntl(fd, F_SETFL, blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK) == 0;
}
