/*
 * Harness of the qtests: the QMP side.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include <sys/socket.h>

#include "libqtest-private.h"

JsonObject *receive(QTestState *s, int64_t deadline)
{
    g_autofree char *line = line_get(s, &s->qmp, deadline);
    g_autoptr(JsonNode) node = NULL;
    g_autoptr(GError) err = NULL;

    if (!line) {
        return NULL;
    }
    node = json_from_string(line, &err);
    if (!node || !JSON_NODE_HOLDS_OBJECT(node)) {
        fail(s, "it sent what is no JSON object: %s", line);
    }
    return json_object_ref(json_node_get_object(node));
}

JsonObject *qtest_qmp_receive(QTestState *s)
{
    int64_t deadline = deadline_ms(QTEST_TIMEOUT * 1000);

    for (;;) {
        JsonObject *o = receive(s, deadline);
        if (!o) {
            fail(s, "no QMP reply came");
        }
        if (!json_object_has_member(o, "event")) {
            return o;
        }
        g_queue_push_tail(&s->events, o);
    }
}

void qtest_qmp_send_raw(QTestState *s, const char *text)
{
    put_all(s, s->qmp.fd, text, strlen(text));
}

static void send_with_fd(QTestState *s, const char *text, int fd)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct iovec iov = { .iov_base = (char *)text, .iov_len = strlen(text) };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space,
                          .msg_controllen = sizeof(control.space) };
    struct cmsghdr *cm = CMSG_FIRSTHDR(&msg);

    cm->cmsg_level = SOL_SOCKET;
    cm->cmsg_type = SCM_RIGHTS;
    cm->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(cm), &fd, sizeof(int));
    g_assert_cmpint(sendmsg(s->qmp.fd, &msg, MSG_NOSIGNAL), ==, (ssize_t)iov.iov_len);
}

/* Send a command and return the whole reply to it. */
static JsonObject *transact(QTestState *s, int fd, const char *command, const char *args,
                            va_list ap)
{
    g_autofree char *text = args ? g_strdup_vprintf(args, ap) : NULL;
    g_autoptr(GString) line = g_string_new(NULL);
    unsigned id = ++s->next_id;
    JsonObject *reply;

    g_string_printf(line, "{\"execute\":\"%s\",\"id\":%u", command, id);
    if (text) {
        g_strdelimit(text, "'", '"');
        g_string_append_printf(line, ",\"arguments\":%s", text);
    }
    g_string_append(line, "}\n");
    if (fd >= 0) {
        send_with_fd(s, line->str, fd);
    } else {
        qtest_qmp_send_raw(s, line->str);
    }
    reply = qtest_qmp_receive(s);
    if (json_object_get_int_member_with_default(reply, "id", -1) != (gint64)id) {
        fail(s, "%s: the reply has another id", command);
    }
    return reply;
}

static JsonNode *take_return(QTestState *s, const char *command, JsonObject *reply)
{
    JsonNode *node = json_object_has_member(reply, "return")
                         ? json_object_dup_member(reply, "return") : NULL;

    if (!node) {
        JsonObject *e = json_object_get_object_member(reply, "error");
        fail(s, "%s: %s", command, json_object_get_string_member(e, "desc"));
    }
    json_object_unref(reply);
    return node;
}

#define TRANSACT(reply, fd)                             \
    do {                                                \
        va_list ap_;                                    \
        va_start(ap_, args);                            \
        reply = transact(s, fd, command, args, ap_);    \
        va_end(ap_);                                    \
    } while (0)

JsonNode *qtest_qmp(QTestState *s, const char *command, const char *args, ...)
{
    JsonObject *reply;

    TRANSACT(reply, -1);
    return take_return(s, command, reply);
}

JsonNode *qtest_qmp_fd(QTestState *s, int fd, const char *command, const char *args, ...)
{
    JsonObject *reply;

    TRANSACT(reply, fd);
    return take_return(s, command, reply);
}

JsonObject *qtest_qmp_object(QTestState *s, const char *command, const char *args, ...)
{
    JsonObject *reply;

    TRANSACT(reply, -1);
    g_autoptr(JsonNode) node = take_return(s, command, reply);
    return json_object_ref(json_node_get_object(node));
}

void qtest_qmp_ok(QTestState *s, const char *command, const char *args, ...)
{
    JsonObject *reply;

    TRANSACT(reply, -1);
    json_node_unref(take_return(s, command, reply));
}

char *qtest_qmp_error(QTestState *s, const char *command, const char *args, ...)
{
    JsonObject *reply;

    TRANSACT(reply, -1);
    g_autoptr(JsonObject) owned G_GNUC_UNUSED = reply;
    if (!json_object_has_member(reply, "error")) {
        fail(s, "%s should have failed", command);
    }
    JsonObject *e = json_object_get_object_member(reply, "error");
    return g_strdup_printf("%s: %s", json_object_get_string_member(e, "class"),
                           json_object_get_string_member(e, "desc"));
}

/* NULL for name: any. */
static JsonObject *take_event(QTestState *s, const char *name)
{
    for (GList *l = s->events.head; l; l = l->next) {
        JsonObject *e = l->data;
        if (!name || g_str_equal(json_object_get_string_member(e, "event"), name)) {
            g_queue_delete_link(&s->events, l);
            return e;
        }
    }
    return NULL;
}

JsonObject *qtest_event_poll(QTestState *s, const char *name, unsigned ms)
{
    int64_t deadline = deadline_ms(ms);

    for (;;) {
        JsonObject *e = take_event(s, name), *o;
        if (e) {
            return e;
        }
        o = receive(s, deadline);
        if (!o) {
            return NULL;
        }
        if (!json_object_has_member(o, "event")) {
            fail(s, "a QMP reply came that nobody asked for");
        }
        g_queue_push_tail(&s->events, o);
    }
}

JsonObject *qtest_event_wait(QTestState *s, const char *name)
{
    JsonObject *e = qtest_event_poll(s, name, QTEST_TIMEOUT * 1000);

    if (!e) {
        fail(s, "event %s did not come", name);
    }
    return e;
}

void qtest_events_clear(QTestState *s)
{
    JsonObject *e;

    while ((e = g_queue_pop_head(&s->events))) {
        json_object_unref(e);
    }
}

char *qtest_hmp(QTestState *s, const char *fmt, ...)
{
    g_autofree char *command = NULL;
    g_autoptr(GString) quoted = g_string_new(NULL);
    g_autoptr(JsonNode) node = NULL;
    va_list ap;

    va_start(ap, fmt);
    command = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    for (const char *c = command; *c; c++) {
        if (*c == '"' || *c == '\\') {
            g_string_append_c(quoted, '\\');
        }
        g_string_append_c(quoted, *c);
    }
    node = qtest_qmp(s, "human-monitor-command", "{'command-line':'%s'}", quoted->str);
    return g_strdup(json_node_get_string(node));
}

void qtest_wait_run_state(QTestState *s, const char *state)
{
    int64_t deadline = deadline_ms(QTEST_TIMEOUT * 1000);

    for (;;) {
        g_autoptr(JsonObject) o = qtest_qmp_object(s, "query-status", NULL);
        const char *now = json_object_get_string_member(o, "status");
        if (g_str_equal(now, state)) {
            return;
        }
        if (g_get_monotonic_time() > deadline) {
            fail(s, "run state is '%s' and not '%s'", now, state);
        }
        g_usleep(5000);
    }
}
