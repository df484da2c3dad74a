/*
 * Character devices: the list, attaching users, and what is common to all backends.
 *
 * Main thread (machine lock); chardev_write() and chardev_take_fd(): any thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <fcntl.h>
#include <string.h>

#include "chardev/backend.h"
#include "trace/chardev.h"
#include "util/options.h"
#include "util/util.h"

static const ChardevClass *const classes[] = {
    &chardev_file, &chardev_null, &chardev_pipe,   &chardev_pty,
    &chardev_mux,  &chardev_ringbuf, &chardev_socket, &chardev_stdio,
};

const char *const chardev_backend_names[] = {
    "file", "null", "pipe", "pty", "mux", "ringbuf", "socket", "stdio", NULL,
};

/* Backends of other emulators that users may ask for. */
static const char *const known_but_absent[] = {
    "braille", "console", "dbus",       "hub",      "memory",  "msmouse", "parallel", "qemu-vdagent",
    "serial",  "spiceport", "spicevmc", "testdev",  "tty",     "udp",     "vc",       "wctablet",
    "parport", NULL,
};

static GPtrArray *chardevs; /* of Chardev*, creation order; machine lock */

const ChardevClass *chardev_class_by_name(const char *name, Error **errp)
{
    for (size_t i = 0; i < ARRAY_SIZE(classes); i++) {
        if (strcmp(classes[i]->name, name) == 0) {
            return classes[i];
        }
    }
    if (strcmp(name, "fifo") == 0) {
        return &chardev_pipe;
    }
    g_autofree char *names = g_strjoinv(", ", (char **)chardev_backend_names);
    error_setg(errp, "character device backend '%s' is %s; there are: %s", name,
               g_strv_contains(known_but_absent, name) ? "not supported" : "unknown", names);
    return NULL;
}

Chardev *chardev_by_id(const char *id)
{
    for (guint i = 0; chardevs && i < chardevs->len; i++) {
        Chardev *c = g_ptr_array_index(chardevs, i);
        if (strcmp(c->id, id) == 0) {
            return c;
        }
    }
    return NULL;
}

void chardev_free(Chardev *c)
{
    if (chardevs) {
        g_ptr_array_remove(chardevs, c);
    }
    c->attached = false;
    if (c->klass->close) {
        c->klass->close(c);
    }
    chardev_io_stop(c);
    close_fd(&c->log_fd);
    g_byte_array_unref(c->queue);
    g_mutex_clear(&c->lock);
    g_free(c->id);
    g_free(c);
}

/* logfile=, logappend=: options of every backend. */
static bool open_log(Chardev *c, JsonObject *opts, Error **errp)
{
    g_autofree char *path = NULL;
    bool append = false;

    if (!options_take_str(opts, "logfile", &path, errp) ||
        !options_take_bool(opts, "logappend", &append, errp)) {
        return false;
    }
    if (!path) {
        return true;
    }
    c->log_fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | (append ? O_APPEND : O_TRUNC), 0666);
    if (c->log_fd < 0) {
        error_setg_errno(errp, errno, "cannot write the log file '%s'", path);
        return false;
    }
    return true;
}

Chardev *chardev_create(const char *id, const ChardevClass *klass, JsonObject *opts, Error **errp)
{
    Chardev *c;

    if (chardev_by_id(id)) {
        error_setg(errp, "there is a character device '%s' already", id);
        return NULL;
    }
    c = g_malloc0(klass->size);
    c->klass = klass;
    c->id = g_strdup(id);
    c->fd_in = c->fd_out = c->log_fd = -1;
    c->queue = g_byte_array_new();
    g_mutex_init(&c->lock);
    g_queue_init(&c->fds);
    if (!open_log(c, opts, errp) || !klass->open(c, opts, errp) ||
        !options_finish(opts, klass->name, errp)) {
        error_prefix(errp, "character device '%s': ", id);
        chardev_free(c);
        return NULL;
    }
    if (!chardevs) {
        chardevs = g_ptr_array_new();
    }
    g_ptr_array_add(chardevs, c);
    trace_chardev_new(id, klass->name);
    return c;
}

/* Create with mux=on: the backend proper is hidden below a mux that has the id. */
static Chardev *create_maybe_mux(const char *id, const ChardevClass *klass, JsonObject *opts,
                                 Error **errp)
{
    g_autofree char *base_id = NULL;
    bool mux = false;
    Chardev *base, *c;

    if (klass != &chardev_mux && !options_take_bool(opts, "mux", &mux, errp)) {
        return NULL;
    }
    if (!mux) {
        return chardev_create(id, klass, opts, errp);
    }
    if (chardev_by_id(id)) {
        error_setg(errp, "there is a character device '%s' already", id);
        return NULL;
    }
    base_id = g_strdup_printf("%s-base", id);
    base = chardev_create(base_id, klass, opts, errp);
    if (!base) {
        return NULL;
    }
    c = chardev_mux_new(id, base, errp);
    if (!c) {
        chardev_free(base);
    }
    return c;
}

Chardev *chardev_new_from_opts(const char *optstr, Error **errp)
{
    g_autoptr(JsonObject) opts = options_parse(optstr, "backend", errp);
    g_autofree char *id = NULL;
    g_autofree char *backend = NULL;
    const ChardevClass *klass;

    if (!opts || !options_take_str(opts, "id", &id, errp)) {
        return NULL;
    }
    if (!id || !*id) {
        error_setg(errp, "a character device needs an id (id=NAME)");
        return NULL;
    }
    JsonNode *node = json_object_get_member(opts, "backend");
    if (node && JSON_NODE_HOLDS_OBJECT(node)) {
        g_autoptr(JsonObject) object = json_object_ref(json_node_get_object(node));
        json_object_remove_member(opts, "backend");
        return options_finish(opts, "chardev", errp)
                   ? chardev_new_from_json(id, object, NULL, errp) : NULL;
    }
    if (!options_take_str(opts, "backend", &backend, errp)) {
        return NULL;
    }
    if (!backend) {
        error_setg(errp, "character device '%s': no backend is given", id);
        return NULL;
    }
    klass = chardev_class_by_name(backend, errp);
    if (klass == &chardev_socket) {
        chardev_legacy_flags(opts);
    }
    return klass ? create_maybe_mux(id, klass, opts, errp) : NULL;
}

Chardev *chardev_new_from_short(const char *id, const char *str, Error **errp)
{
    g_autoptr(JsonObject) opts = NULL;
    const ChardevClass *klass;
    Chardev *c;

    if (g_str_has_prefix(str, "chardev:")) {
        c = chardev_by_id(str + strlen("chardev:"));
        if (!c) {
            error_setg(errp, "there is no character device '%s'", str + strlen("chardev:"));
        }
        return c;
    }
    opts = chardev_opts_from_short(str, &klass, errp);
    return opts ? create_maybe_mux(id, klass, opts, errp) : NULL;
}

Chardev *chardev_new_from_json(const char *id, JsonObject *backend, char **ret_pty, Error **errp)
{
    g_autoptr(JsonObject) opts = NULL;
    const ChardevClass *klass;
    Chardev *c;

    opts = chardev_opts_from_backend(backend, &klass, errp);
    if (!opts) {
        return NULL;
    }
    c = chardev_create(id, klass, opts, errp);
    if (c && klass == &chardev_pty && ret_pty) {
        g_autofree char *name = chardev_filename(c);
        *ret_pty = g_strdup(name + strlen("pty:"));
    }
    return c;
}

bool chardev_remove(const char *id, Error **errp)
{
    Chardev *c = chardev_by_id(id);

    if (!c) {
        error_setg(errp, "there is no character device '%s'", id);
        return false;
    }
    if (chardev_in_use(c)) {
        error_setg(errp, "character device '%s' is in use", id);
        return false;
    }
    chardev_free(c);
    return true;
}

void chardev_emit(Chardev *c, ChardevEvent event)
{
    if (c->attached && c->h.event) {
        c->h.event(c->h.opaque, event);
    }
}

void chardev_set_connected(Chardev *c, bool connected)
{
    if (__atomic_exchange_n(&c->connected, connected, __ATOMIC_SEQ_CST) != connected) {
        trace_chardev_connected(c->id, connected);
        chardev_emit(c, connected ? CHARDEV_OPENED : CHARDEV_CLOSED);
    }
}

bool chardev_attach(Chardev *c, const ChardevHandlers *h, Error **errp)
{
    if (c->klass->attach) {
        return c->klass->attach(c, h, errp);
    }
    if (c->attached) {
        error_setg(errp, "character device '%s' is in use", c->id);
        return false;
    }
    c->h = *h;
    c->attached = true;
    chardev_io_update(c);
    if (chardev_connected(c)) {
        chardev_emit(c, CHARDEV_OPENED);
    }
    return true;
}

void chardev_detach(Chardev *c, void *opaque)
{
    if (c->klass->detach) {
        c->klass->detach(c, opaque);
        return;
    }
    if (c->attached && c->h.opaque == opaque) {
        c->attached = c->closed = false;
        memset(&c->h, 0, sizeof(c->h));
        chardev_io_update(c);
    }
}

bool chardev_in_use(const Chardev *c)
{
    return c->klass->in_use ? c->klass->in_use(c) : c->attached;
}

void chardev_set_open(Chardev *c, bool open)
{
    c->closed = !open;
}

bool chardev_is_open(const Chardev *c)
{
    return chardev_in_use(c) && !c->closed;
}

bool chardev_set_context(Chardev *c, GMainContext *ctx)
{
    if (c->klass == &chardev_mux || c->internal) {
        return ctx == NULL;
    }
    c->ctx = ctx;
    chardev_io_move_sources(c);
    if (c->klass->context_changed) {
        c->klass->context_changed(c);
    }
    return true;
}

size_t chardev_write(Chardev *c, const void *buf, size_t len)
{
    if (c->log_fd >= 0) {
        /* A log that cannot be written must not stop the machine. */
        ssize_t ignored G_GNUC_UNUSED = write(c->log_fd, buf, len);
    }
    return c->klass->write ? c->klass->write(c, buf, len) : chardev_io_write(c, buf, len);
}

void chardev_accept_input(Chardev *c)
{
    bool paused;

    if (c->klass->accept_input) {
        c->klass->accept_input(c);
        return;
    }
    g_mutex_lock(&c->lock);
    paused = c->input_paused;
    g_mutex_unlock(&c->lock);
    if (paused) {
        chardev_io_update(c);
    }
}

bool chardev_connected(const Chardev *c)
{
    return __atomic_load_n(&c->connected, __ATOMIC_SEQ_CST);
}

const char *chardev_id(const Chardev *c)
{
    return c->id;
}

char *chardev_filename(const Chardev *c)
{
    return c->klass->filename ? c->klass->filename(c) : g_strdup(c->klass->name);
}

int chardev_take_fd(Chardev *c)
{
    int fd = -1;

    g_mutex_lock(&c->lock);
    if (g_queue_get_length(&c->fds) > 0) {
        fd = GPOINTER_TO_INT(g_queue_pop_head(&c->fds));
    }
    g_mutex_unlock(&c->lock);
    return fd;
}

void chardev_send_break(Chardev *c)
{
    chardev_emit(c, CHARDEV_BREAK);
}

void chardev_foreach(void (*fn)(Chardev *c, void *opaque), void *opaque)
{
    for (guint i = 0; chardevs && i < chardevs->len; i++) {
        Chardev *c = g_ptr_array_index(chardevs, i);
        if (!c->internal) {
            fn(c, opaque);
        }
    }
}

void chardev_cleanup_all(void)
{
    int64_t deadline = g_get_monotonic_time() + G_USEC_PER_SEC / 2;

    for (guint i = 0; chardevs && i < chardevs->len; i++) {
        chardev_io_flush(g_ptr_array_index(chardevs, i), deadline);
    }
    /* Last made first: a mux goes before the backend below it. */
    while (chardevs && chardevs->len) {
        chardev_free(g_ptr_array_index(chardevs, chardevs->len - 1));
    }
    g_clear_pointer(&chardevs, g_ptr_array_unref);
}
