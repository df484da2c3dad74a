/*
 * Clocks and timers.  The clock may be read by any thread; everything else belongs
 * to the machine lock, timer callbacks to the MAIN thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "system/clock.h"

#include <string.h>
#include <time.h>

#include "system/machine-lock.h"
#include "util/util.h"

/* While running: value = host clock + offset.  While stopped: value = offset. */
static int64_t offset; /* atomic */
static bool running;   /* atomic; changes only while no vCPU runs */
static bool manual;    /* start-up only */
static Timer *timers;  /* ascending expiry */
static GSource *source;

int64_t virtual_clock_ns(void)
{
    int64_t off = __atomic_load_n(&offset, __ATOMIC_ACQUIRE);

    return __atomic_load_n(&running, __ATOMIC_ACQUIRE) ? host_clock_ns() + off : off;
}

/* What is due by now; a timer that is due again at once waits until others had their turn. */
static gboolean run_expired(gpointer unused)
{
    int64_t now = virtual_clock_ns();

    g_assert(machine_locked());
    while (timers && running && timers->expire_ns <= now) {
        Timer *t = timers;
        timers = t->next;
        t->expire_ns = -1;
        t->cb(t->opaque);
    }
    return G_SOURCE_CONTINUE;
}

static gboolean source_dispatch(GSource *s, GSourceFunc fn, gpointer opaque);
static void source_rearm(void);

static GSourceFuncs source_funcs = { .dispatch = source_dispatch };

static gboolean source_dispatch(GSource *s, GSourceFunc fn, gpointer opaque)
{
    run_expired(NULL);
    source_rearm();
    return G_SOURCE_CONTINUE;
}

/* Wake the main loop for the first timer, or not at all while the clock stands. */
static void source_rearm(void)
{
    gint64 ready = -1;

    if (manual) {
        return;
    }
    if (!source) {
        source = g_source_new(&source_funcs, sizeof(GSource));
        g_source_set_name(source, "virtual-clock");
        g_source_attach(source, NULL);
    }
    if (running && timers) {
        ready = (timers->expire_ns - offset) / 1000 + 1;
        ready = MAX(ready, 0);
    }
    g_source_set_ready_time(source, ready);
}

void virtual_clock_start(void)
{
    if (running || manual) {
        return;
    }
    __atomic_store_n(&offset, offset - host_clock_ns(), __ATOMIC_RELEASE);
    __atomic_store_n(&running, true, __ATOMIC_RELEASE);
    source_rearm();
}

void virtual_clock_stop(void)
{
    int64_t now = virtual_clock_ns();

    if (!running) {
        return;
    }
    __atomic_store_n(&running, false, __ATOMIC_RELEASE);
    __atomic_store_n(&offset, now, __ATOMIC_RELEASE);
    source_rearm();
}

int64_t virtual_clock_get_offset(void)
{
    return offset;
}

void virtual_clock_set_offset(int64_t ns)
{
    __atomic_store_n(&offset, running ? ns - host_clock_ns() : ns, __ATOMIC_RELEASE);
    source_rearm();
}

void virtual_clock_set_manual(void)
{
    manual = true;
    offset = 0;
}

bool virtual_clock_is_manual(void)
{
    return manual;
}

int64_t virtual_clock_warp_to(int64_t ns)
{
    g_assert(manual && machine_locked());
    while (timers && timers->expire_ns <= ns) {
        Timer *t = timers;
        if (t->expire_ns > offset) {
            __atomic_store_n(&offset, t->expire_ns, __ATOMIC_RELEASE);
        }
        timers = t->next;
        t->expire_ns = -1;
        t->cb(t->opaque);
    }
    if (ns > offset) {
        __atomic_store_n(&offset, ns, __ATOMIC_RELEASE);
    }
    return offset;
}

void timer_init(Timer *t, void (*cb)(void *opaque), void *opaque)
{
    *t = (Timer){ .expire_ns = -1, .cb = cb, .opaque = opaque };
}

static void timer_unlink(Timer *t)
{
    Timer **p = &timers;

    while (*p && *p != t) {
        p = &(*p)->next;
    }
    if (*p) {
        *p = t->next;
    }
    t->expire_ns = -1;
}

void timer_mod(Timer *t, int64_t expire_ns)
{
    Timer **p = &timers;

    timer_unlink(t);
    t->expire_ns = MAX(expire_ns, 0);
    while (*p && (*p)->expire_ns <= t->expire_ns) {
        p = &(*p)->next;
    }
    t->next = *p;
    *p = t;
    if (timers == t) {
        source_rearm();
    }
}

void timer_del(Timer *t)
{
    if (timer_pending(t)) {
        timer_unlink(t);
    }
}

int64_t virtual_clock_deadline(void)
{
    return timers ? timers->expire_ns : -1;
}

/* -rtc */
static bool rtc_follows_vm;      /* start-up only, like the next two */
static int64_t rtc_shift;        /* seconds added to the host's UTC */
static int64_t rtc_start;        /* clock=vm: seconds at virtual time 0 */

static bool rtc_parse_date(const char *base, int64_t *ret_seconds)
{
    g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
    g_autofree char *whole = strchr(base, 'T') ? g_strdup(base) : g_strconcat(base, "T00:00:00", NULL);
    g_autoptr(GDateTime) d = g_date_time_new_from_iso8601(whole, utc);

    if (!d) {
        return false;
    }
    *ret_seconds = g_date_time_to_unix(d);
    return true;
}

bool rtc_configure(const char *base, const char *clock, Error **errp)
{
    int64_t now = time(NULL), start = now;

    if (base && strcmp(base, "localtime") == 0) {
        time_t t = now;
        struct tm tm;
        localtime_r(&t, &tm);
        start = now + tm.tm_gmtoff;
    } else if (base && strcmp(base, "utc") != 0 && !rtc_parse_date(base, &start)) {
        error_setg(errp, "base='%s': expected utc, localtime or a date as 2006-06-17T16:01:21",
                   base);
        return false;
    }
    if (clock && strcmp(clock, "vm") == 0) {
        rtc_follows_vm = true;
    } else if (clock && strcmp(clock, "host") != 0 && strcmp(clock, "rt") != 0) {
        error_setg(errp, "clock='%s': expected host, rt or vm", clock);
        return false;
    }
    rtc_shift = start - now;
    rtc_start = start;
    return true;
}

int64_t rtc_clock_seconds(void)
{
    return rtc_follows_vm ? rtc_start + virtual_clock_ns() / NS_PER_SEC : time(NULL) + rtc_shift;
}

bool rtc_clock_follows_vm(void)
{
    return rtc_follows_vm;
}
