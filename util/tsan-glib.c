/*
 * What ThreadSanitizer has to know of GLib, which is not built with it: that its mutexes and
 * condition variables order what threads do.  Only in builds with --enable-tsan; these functions
 * take the place of GLib's for Ferry's code, and call them.  Any thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <dlfcn.h>
#include <glib.h>
#include <sanitizer/tsan_interface.h>

/* The function of the library behind this program, found once. */
#define REAL(name)                                                                        \
    ({                                                                                    \
        static __typeof__(&name) real_;                                                   \
        __typeof__(&name) now_ = __atomic_load_n(&real_, __ATOMIC_RELAXED);               \
        if (!now_) {                                                                      \
            now_ = (__typeof__(&name))dlsym(RTLD_NEXT, #name);                            \
            __atomic_store_n(&real_, now_, __ATOMIC_RELAXED);                             \
        }                                                                                 \
        now_;                                                                             \
    })

void g_mutex_lock(GMutex *m)
{
    REAL(g_mutex_lock)(m);
    __tsan_acquire(m);
}

void g_mutex_unlock(GMutex *m)
{
    __tsan_release(m);
    REAL(g_mutex_unlock)(m);
}

gboolean g_mutex_trylock(GMutex *m)
{
    gboolean locked = REAL(g_mutex_trylock)(m);

    if (locked) {
        __tsan_acquire(m);
    }
    return locked;
}

void g_cond_wait(GCond *c, GMutex *m)
{
    __tsan_release(m);
    REAL(g_cond_wait)(c, m);
    __tsan_acquire(m);
}

gboolean g_cond_wait_until(GCond *c, GMutex *m, gint64 end)
{
    gboolean signalled;

    __tsan_release(m);
    signalled = REAL(g_cond_wait_until)(c, m, end);
    __tsan_acquire(m);
    return signalled;
}

/* ---- a call that one thread makes is run by another one ---- */

typedef struct Handover {
    GSourceFunc fn;
    gpointer data;
    GDestroyNotify notify;
} Handover;

static Handover *handover_new(GSourceFunc fn, gpointer data, GDestroyNotify notify)
{
    Handover *h = g_new(Handover, 1);

    *h = (Handover){ fn, data, notify };
    __tsan_release(h);
    return h;
}

static gboolean handover_run(gpointer opaque)
{
    Handover *h = opaque;

    __tsan_acquire(h);
    return h->fn(h->data);
}

static void handover_free(gpointer opaque)
{
    Handover *h = opaque;

    __tsan_acquire(h);
    if (h->notify) {
        h->notify(h->data);
    }
    g_free(h);
}

void g_source_set_callback(GSource *source, GSourceFunc fn, gpointer data, GDestroyNotify notify)
{
    if (source->source_funcs == &g_idle_funcs || source->source_funcs == &g_timeout_funcs) {
        REAL(g_source_set_callback)(source, handover_run, handover_new(fn, data, notify),
                                    handover_free);
    } else {
        REAL(g_source_set_callback)(source, fn, data, notify);
    }
}

guint g_idle_add(GSourceFunc fn, gpointer data)
{
    GSource *source = g_idle_source_new();
    guint id;

    g_source_set_callback(source, fn, data, NULL);
    id = g_source_attach(source, NULL);
    g_source_unref(source);
    return id;
}

void g_main_context_invoke(GMainContext *context, GSourceFunc fn, gpointer data)
{
    g_main_context_invoke_full(context, G_PRIORITY_DEFAULT, handover_run,
                               handover_new(fn, data, NULL), handover_free);
}
