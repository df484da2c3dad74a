/*
 * The main loop: GLib's default context, run by the MAIN thread, which holds the
 * machine lock except while it waits in poll.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <poll.h>

#include "system/machine-lock.h"
#include "system/runstate.h"

static bool exit_requested; /* machine lock */
static int exit_status;     /* machine lock */

static gint poll_unlocked(GPollFD *fds, guint nfds, gint timeout)
{
    bool had_lock = machine_locked();
    gint ret;

    if (had_lock) {
        machine_unlock();
    }
    G_STATIC_ASSERT(sizeof(GPollFD) == sizeof(struct pollfd));
    ret = poll((struct pollfd *)fds, nfds, timeout);
    if (had_lock) {
        machine_lock();
    }
    return ret;
}

void main_loop_init(void)
{
    g_main_context_set_poll_func(NULL, poll_unlocked);
}

int main_loop_run(void)
{
    g_assert(machine_locked());
    while (!exit_requested) {
        g_main_context_iteration(NULL, TRUE);
    }
    return exit_status;
}

typedef struct Call {
    void (*fn)(void *opaque);
    void *opaque;
} Call;

static gboolean run_call(gpointer p)
{
    Call *c = p;

    c->fn(c->opaque);
    return G_SOURCE_REMOVE;
}

void main_loop_call(void (*fn)(void *opaque), void *opaque)
{
    Call *c = g_new(Call, 1);

    *c = (Call){ fn, opaque };
    /* Not g_idle_add(): that one runs only after everything else. */
    GSource *src = g_idle_source_new();
    g_source_set_priority(src, G_PRIORITY_HIGH);
    g_source_set_callback(src, run_call, c, g_free);
    g_source_attach(src, NULL);
    g_source_unref(src);
}

static void set_exit(void *opaque)
{
    exit_requested = true;
    exit_status = GPOINTER_TO_INT(opaque);
}

void system_exit_request(int status)
{
    main_loop_call(set_exit, GINT_TO_POINTER(status));
}
