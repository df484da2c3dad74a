/*
 * Human monitors: a chardev with line editing on top of the command tables.
 * Main thread, machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "monitor/hmp-internal.h"
#include "monitor/monitor-internal.h"
#include "monitor/readline.h"
#include "util/util.h"

typedef struct HmpMonitor {
    Monitor base;
    HmpSession session;
    ReadLine *rl;
} HmpMonitor;

static GPtrArray *monitors; /* of HmpMonitor */
static HmpMonitor *running; /* whose line is run, NULL: none */

/* Text to the terminal, LF as CR LF. */
static void put_text(HmpMonitor *m, const char *text)
{
    g_autoptr(GString) out = g_string_sized_new(strlen(text) + 16);

    for (; *text; text++) {
        if (*text == '\n') {
            g_string_append_c(out, '\r');
        }
        g_string_append_c(out, *text);
    }
    chardev_write(m->base.chr, out->str, out->len);
}

static void flush_session(HmpSession *s)
{
    HmpMonitor *m = container_of(s, HmpMonitor, session);

    put_text(m, s->out->str);
    g_string_truncate(s->out, 0);
}

static void prompt(HmpMonitor *m)
{
    if (!m->session.suspended) {
        readline_show(m->rl);
    }
}

static void rl_write(void *opaque, const char *text)
{
    put_text(opaque, text);
}

static void rl_line(void *opaque, const char *line)
{
    HmpMonitor *m = opaque;

    running = m;
    hmp_run_line(&m->session, line);
    running = NULL;
    flush_session(&m->session);
    prompt(m);
}

static GPtrArray *rl_complete(void *opaque, const char *head)
{
    return hmp_complete_line(head);
}

static const ReadLineOps rl_ops = { rl_write, rl_line, rl_complete };

static void resume_session(HmpSession *s)
{
    HmpMonitor *m = container_of(s, HmpMonitor, session);

    flush_session(s);
    prompt(m);
    chardev_accept_input(m->base.chr);
}

static int hmp_can_read(void *opaque)
{
    HmpMonitor *m = opaque;

    /* One byte: what is behind a line that suspends the session must wait. */
    return m->session.suspended ? 0 : 1;
}

static void hmp_read(void *opaque, const uint8_t *buf, size_t len)
{
    HmpMonitor *m = opaque;

    for (size_t i = 0; i < len; i++) {
        readline_feed(m->rl, buf[i]);
    }
}

static void hmp_event(void *opaque, ChardevEvent event)
{
    HmpMonitor *m = opaque;

    switch (event) {
    case CHARDEV_OPENED:
        readline_reset(m->rl);
        put_text(m, "Ferry " FERRY_VERSION " monitor - type 'help' for more information\n");
        prompt(m);
        break;
    case CHARDEV_MUX_IN:
        put_text(m, "\n");
        prompt(m);
        break;
    default:
        break;
    }
}

Monitor *monitor_new_hmp(Chardev *c, bool readline, Error **errp)
{
    HmpMonitor *m = g_new0(HmpMonitor, 1);
    ChardevHandlers h = { hmp_can_read, hmp_read, hmp_event, m };

    m->base.chr = c;
    m->session.out = g_string_new(NULL);
    m->session.cpu_index = -1;
    m->session.flush = flush_session;
    m->session.resume = resume_session;
    m->rl = readline_new(&rl_ops, m, "(qemu) ", readline);
    if (!chardev_attach(c, &h, errp)) {
        readline_free(m->rl);
        g_string_free(m->session.out, TRUE);
        g_free(m);
        return NULL;
    }
    if (!monitors) {
        monitors = g_ptr_array_new();
    }
    g_ptr_array_add(monitors, m);
    chardev_accept_input(c);
    return &m->base;
}

bool hmp_monitor_can_be_freed(const Monitor *base, Error **errp)
{
    const HmpMonitor *m = container_of(base, HmpMonitor, base);

    if (m == running || m->session.suspended) {
        error_setg(errp, "a monitor cannot be deleted while it runs a command");
        return false;
    }
    return true;
}

void hmp_monitor_free(Monitor *base)
{
    HmpMonitor *m = container_of(base, HmpMonitor, base);

    g_ptr_array_remove(monitors, m);
    chardev_detach(base->chr, m);
    readline_free(m->rl);
    g_string_free(m->session.out, TRUE);
    g_free(m);
}

void hmp_monitors_cleanup(void)
{
    while (monitors && monitors->len) {
        hmp_monitor_free(g_ptr_array_index(monitors, 0));
    }
    g_clear_pointer(&monitors, g_ptr_array_unref);
}

bool monitor_can_be_freed(const Monitor *m, Error **errp)
{
    return m->qmp ? qmp_monitor_can_be_freed(m, errp) : hmp_monitor_can_be_freed(m, errp);
}

void monitor_free(Monitor *m)
{
    if (m->qmp) {
        qmp_monitor_free(m);
    } else {
        hmp_monitor_free(m);
    }
}

void monitor_cleanup_all(void)
{
    qmp_monitors_cleanup();
    hmp_monitors_cleanup();
}
