/*
 * QMP monitors: connections, their queues of requests, and the replies.
 *
 * Reading belongs to the monitor I/O thread where the chardev can run there, else to
 * the main thread.  Requests are queued for the main thread, which runs them under
 * the machine lock; exec-oob ones run at once where they are read.  QmpMonitor.lock
 * guards what both sides touch; order: machine lock, monitors_lock, QmpMonitor.lock.
 *
 *   bytes -> splitter -> request -+- exec-oob -> dispatch (I/O thread) -> reply
 *                                 +- queue -> main_loop_call -> dispatch -> reply
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include <unistd.h>

#include "monitor/monitor-internal.h"
#include "qapi/json.h"
#include "system/machine-lock.h"
#include "system/runstate.h"
#include "trace/monitor.h"
#include "util/util.h"

/* Requests that may wait before the input is no longer read. */
enum { QUEUE_MAX_OOB = 8, QUEUE_MAX = 1, READ_CHUNK = 4096 };

/* Key: (c) fixed at creation, (r) reading thread only, (l) under lock, (m) main thread. */
typedef struct QmpMonitor {
    Monitor base;          /* (c) */
    gint ref;              /* atomic: calls on their way to another thread have one */
    bool pretty;           /* (c) */
    bool io_thread;        /* (c) handlers run in the monitor I/O thread */
    bool starting;         /* (r) it is not known yet which thread reads */
    JsonSplitter splitter; /* (r) */
    GMutex lock;
    QmpSession session;    /* (l) to change; (r) and (m) read it */
    GQueue requests;       /* (l) of Request */
    GQueue fds;            /* (l) received, not yet handed to the main thread */
    unsigned connection;   /* (l) counts connections: replies to a lost one are dropped */
    bool open;             /* (l) */
    bool dead;             /* (l) detached: nothing is read or run any more */
    void (*closed)(void *opaque); /* (m) a client has gone; NULL: nobody asks */
    void *closed_opaque;   /* (m) */
} QmpMonitor;

typedef struct Request {
    JsonNode *node; /* NULL: err says why */
    Error *err;
    unsigned connection;
} Request;

static QmpMonitor *dispatching; /* whose request the main thread runs; machine lock */

static GMutex monitors_lock;
static GPtrArray *monitors; /* of QmpMonitor; monitors_lock */

/* The monitor I/O thread; made with the first monitor that can use it. Main thread. */
static GMainContext *io_context;
static GMainLoop *io_loop;
static GThread *io_thread;

static void request_free(Request *r)
{
    qapi_node_free(r->node);
    g_clear_error(&r->err);
    g_free(r);
}

static QmpMonitor *qmp_ref(QmpMonitor *m)
{
    g_atomic_int_inc(&m->ref);
    return m;
}

static void qmp_unref(void *opaque)
{
    QmpMonitor *m = opaque;

    if (g_atomic_int_dec_and_test(&m->ref)) {
        json_splitter_clear(&m->splitter);
        g_mutex_clear(&m->lock);
        g_free(m);
    }
}

static bool is_dead(QmpMonitor *m)
{
    bool dead;

    g_mutex_lock(&m->lock);
    dead = m->dead;
    g_mutex_unlock(&m->lock);
    return dead;
}

/* Write one object and CR LF.  lock held, which keeps lines whole and in order. */
static void send_locked(QmpMonitor *m, JsonNode *node)
{
    g_autofree char *text = json_print(node, m->pretty);
    g_autofree char *line = g_strconcat(text, "\r\n", NULL);

    chardev_write(m->base.chr, line, strlen(line));
}

static unsigned queue_max(const QmpMonitor *m)
{
    return m->session.oob ? QUEUE_MAX_OOB : QUEUE_MAX;
}

/* Run in the reading thread: bytes may come again. */
static gboolean accept_input(gpointer opaque)
{
    QmpMonitor *m = opaque;

    if (!is_dead(m)) {
        chardev_accept_input(m->base.chr);
    }
    return G_SOURCE_REMOVE;
}

/* Call fn in the reading thread; its source holds a reference. */
static void call_reader(QmpMonitor *m, GSourceFunc fn)
{
    if (m->io_thread) {
        g_main_context_invoke_full(io_context, G_PRIORITY_DEFAULT, fn, qmp_ref(m), qmp_unref);
    } else {
        fn(m);
    }
}

/* Run a request and send the reply, unless the client is gone by then. */
static void dispatch(QmpMonitor *m, Request *r)
{
    g_autoptr(JsonNode) reply = NULL;
    QmpSession session;

    g_mutex_lock(&m->lock);
    session = m->session;
    g_mutex_unlock(&m->lock);
    reply = r->node ? qmp_dispatch(&session, r->node) : qmp_error_reply(r->err, NULL);

    g_mutex_lock(&m->lock);
    if (m->open && m->connection == r->connection) {
        if (session.negotiated && !m->session.negotiated) {
            m->session = session;
        }
        send_locked(m, reply);
    }
    g_mutex_unlock(&m->lock);
}

/* Main thread: run the oldest request; descriptors that came before it are known then. */
static void run_next(void *opaque)
{
    QmpMonitor *m = opaque;
    gpointer fd;
    Request *r;
    bool was_full;

    g_mutex_lock(&m->lock);
    r = g_queue_pop_head(&m->requests);
    was_full = g_queue_get_length(&m->requests) + 1 >= queue_max(m);
    while ((fd = g_queue_pop_head(&m->fds))) {
        monitor_fd_received(GPOINTER_TO_INT(fd) - 1);
    }
    g_mutex_unlock(&m->lock);
    if (r) {
        dispatching = m;
        dispatch(m, r);
        dispatching = NULL;
        request_free(r);
    }
    if (was_full) {
        call_reader(m, accept_input);
    }
    qmp_unref(m);
}

/* Reading thread: the splitter has a whole value or garbage. */
static void got_value(void *opaque, JsonNode *node, Error *err)
{
    QmpMonitor *m = opaque;
    Request *r = g_new0(Request, 1);
    bool oob;

    r->node = node;
    r->err = err;
    g_mutex_lock(&m->lock);
    r->connection = m->connection;
    oob = m->io_thread && node && qmp_request_is_oob(&m->session, node);
    if (!oob) {
        g_queue_push_tail(&m->requests, r);
        trace_qmp_queue(m, g_queue_get_length(&m->requests));
    }
    g_mutex_unlock(&m->lock);
    if (oob) {
        dispatch(m, r);
        request_free(r);
    } else {
        main_loop_call(run_next, qmp_ref(m));
    }
}

static int qmp_can_read(void *opaque)
{
    QmpMonitor *m = opaque;
    bool full;

    if (m->starting) {
        return 0;
    }
    g_mutex_lock(&m->lock);
    full = g_queue_get_length(&m->requests) >= queue_max(m);
    g_mutex_unlock(&m->lock);
    return full ? 0 : READ_CHUNK;
}

static void qmp_read(void *opaque, const uint8_t *buf, size_t len)
{
    QmpMonitor *m = opaque;
    int fd;

    g_mutex_lock(&m->lock);
    while ((fd = chardev_take_fd(m->base.chr)) >= 0) {
        g_queue_push_tail(&m->fds, GINT_TO_POINTER(fd + 1));
    }
    g_mutex_unlock(&m->lock);
    json_splitter_feed(&m->splitter, buf, len);
}

static void drop_connection_locked(QmpMonitor *m)
{
    gpointer p;

    m->connection++;
    m->session.negotiated = m->session.oob = false;
    while ((p = g_queue_pop_head(&m->requests))) {
        request_free(p);
    }
    while ((p = g_queue_pop_head(&m->fds))) {
        close(GPOINTER_TO_INT(p) - 1);
    }
}

static bool any_open(void)
{
    bool open = false;

    g_mutex_lock(&monitors_lock);
    for (guint i = 0; monitors && i < monitors->len; i++) {
        QmpMonitor *m = g_ptr_array_index(monitors, i);
        g_mutex_lock(&m->lock);
        open |= m->open;
        g_mutex_unlock(&m->lock);
    }
    g_mutex_unlock(&monitors_lock);
    return open;
}

/* Main thread, after a connection was lost. */
static void after_close(void *opaque)
{
    QmpMonitor *m = opaque;

    if (!any_open()) {
        monitor_fds_disconnected();
    }
    if (m->closed && !is_dead(m)) {
        m->closed(m->closed_opaque);
    }
    qmp_unref(m);
}

static void connection_opened(QmpMonitor *m)
{
    json_splitter_reset(&m->splitter);
    g_mutex_lock(&m->lock);
    drop_connection_locked(m);
    m->open = true;
    g_autoptr(JsonNode) greeting = qmp_greeting(&m->session);
    send_locked(m, greeting);
    g_mutex_unlock(&m->lock);
}

static void qmp_event(void *opaque, ChardevEvent event)
{
    QmpMonitor *m = opaque;

    if (m->starting) {
        return;
    }
    if (event == CHARDEV_OPENED) {
        connection_opened(m);
    } else if (event == CHARDEV_CLOSED) {
        json_splitter_reset(&m->splitter);
        g_mutex_lock(&m->lock);
        m->open = false;
        drop_connection_locked(m);
        g_mutex_unlock(&m->lock);
        main_loop_call(after_close, qmp_ref(m));
    }
}

/* Any thread: to every negotiated client. */
static void send_event(JsonNode *event)
{
    g_mutex_lock(&monitors_lock);
    for (guint i = 0; monitors && i < monitors->len; i++) {
        QmpMonitor *m = g_ptr_array_index(monitors, i);
        g_mutex_lock(&m->lock);
        if (m->open && m->session.negotiated) {
            send_locked(m, event);
        }
        g_mutex_unlock(&m->lock);
    }
    g_mutex_unlock(&monitors_lock);
}

static gpointer io_thread_main(gpointer opaque)
{
    g_main_context_push_thread_default(io_context);
    g_main_loop_run(io_loop);
    g_main_context_pop_thread_default(io_context);
    return NULL;
}

static void io_thread_need(void)
{
    if (!io_thread) {
        io_context = g_main_context_new();
        io_loop = g_main_loop_new(io_context, FALSE);
        io_thread = thread_start("mon_iothread", io_thread_main, NULL);
    }
}

/* Reading thread, once it is known to be that: what was not looked at before. */
static gboolean start_reading(gpointer opaque)
{
    QmpMonitor *m = opaque;

    if (is_dead(m)) {
        return G_SOURCE_REMOVE;
    }
    m->starting = false;
    if (chardev_connected(m->base.chr)) {
        connection_opened(m);
    }
    chardev_accept_input(m->base.chr);
    return G_SOURCE_REMOVE;
}

Monitor *monitor_new_qmp(Chardev *c, bool pretty, Error **errp)
{
    QmpMonitor *m = g_new0(QmpMonitor, 1);
    ChardevHandlers h = { qmp_can_read, qmp_read, qmp_event, m };
    bool in_io_thread;

    m->base = (Monitor){ .chr = c, .qmp = true };
    m->ref = 1;
    m->pretty = pretty;
    m->starting = true;
    g_mutex_init(&m->lock);
    json_splitter_init(&m->splitter, got_value, m);
    if (!chardev_attach(c, &h, errp)) {
        qmp_unref(m);
        return NULL;
    }
    qmp_event_set_sink(send_event);
    io_thread_need();
    in_io_thread = chardev_set_context(c, io_context);
    g_mutex_lock(&m->lock); /* start_reading() takes it before it looks */
    m->io_thread = m->session.oob_offered = in_io_thread;
    g_mutex_unlock(&m->lock);
    g_mutex_lock(&monitors_lock);
    if (!monitors) {
        monitors = g_ptr_array_new();
    }
    g_ptr_array_add(monitors, m);
    g_mutex_unlock(&monitors_lock);
    call_reader(m, start_reading);
    return &m->base;
}

void monitor_set_closed_handler(Monitor *base, void (*fn)(void *opaque), void *opaque)
{
    QmpMonitor *m = container_of(base, QmpMonitor, base);

    g_assert(base->qmp);
    m->closed = fn;
    m->closed_opaque = opaque;
}

bool qmp_monitor_can_be_freed(const Monitor *base, Error **errp)
{
    if (dispatching && base == &dispatching->base) {
        error_setg(errp, "a monitor cannot delete itself; with close-action=delete it goes with "
                   "its client");
        return false;
    }
    return true;
}

/* Reading thread, or that thread is gone: nothing of m is called any more. */
static void detach(QmpMonitor *m)
{
    chardev_detach(m->base.chr, m);
    chardev_set_context(m->base.chr, NULL);
    g_mutex_lock(&m->lock);
    m->dead = true;
    m->open = false;
    drop_connection_locked(m);
    g_mutex_unlock(&m->lock);
}

/* Detaching in the reading thread while the main thread waits. */
typedef struct Detach {
    QmpMonitor *m;
    GCond done_cond;
    bool done; /* machine lock */
} Detach;

static gboolean detach_in_reader(gpointer opaque)
{
    Detach *d = opaque;

    detach(d->m);
    MACHINE_LOCK_GUARD();
    d->done = true;
    g_cond_signal(&d->done_cond);
    return G_SOURCE_REMOVE;
}

void qmp_monitor_free(Monitor *base)
{
    QmpMonitor *m = container_of(base, QmpMonitor, base);
    Detach d = { .m = m };

    g_mutex_lock(&monitors_lock);
    g_ptr_array_remove(monitors, m);
    g_mutex_unlock(&monitors_lock);
    if (m->io_thread && io_thread) {
        g_cond_init(&d.done_cond);
        g_main_context_invoke(io_context, detach_in_reader, &d);
        while (!d.done) {
            machine_lock_wait(&d.done_cond);
        }
        g_cond_clear(&d.done_cond);
    } else {
        detach(m);
    }
    qmp_unref(m);
}

void qmp_monitors_cleanup(void)
{
    if (io_thread) {
        g_main_loop_quit(io_loop);
        g_thread_join(g_steal_pointer(&io_thread));
    }
    while (monitors && monitors->len) {
        qmp_monitor_free(g_ptr_array_index(monitors, 0));
    }
    g_clear_pointer(&monitors, g_ptr_array_unref);
    g_clear_pointer(&io_loop, g_main_loop_unref);
    g_clear_pointer(&io_context, g_main_context_unref);
}
