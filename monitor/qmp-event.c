/*
 * QMP events: the time stamp, and the limit on how often some of them go out.
 *
 * Any thread.  A limited event that comes too early waits, the newest replacing an
 * older one with the same subject, for a timer in the main thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "monitor/monitor-internal.h"
#include "system/runstate.h"
#include "trace/monitor.h"

enum { LIMIT_PERIOD_MS = 1000 };

/* Events that go out at most once a period, by themselves or by a member of their data. */
static const struct {
    const char *name;
    const char *subject; /* member that tells sources apart, or NULL */
} limited[] = {
    { "RTC_CHANGE", NULL },
    { "WATCHDOG", NULL },
    { "BALLOON_CHANGE", NULL },
    { "MEMORY_DEVICE_SIZE_CHANGE", "qom-path" },
};

typedef struct LimitState {
    char *key;         /* name and subject */
    int64_t last_us;   /* monotonic time when one went out */
    JsonNode *waiting; /* newest one that did not */
} LimitState;

static GMutex lock;
static GHashTable *states; /* key -> LimitState; lock */
static void (*sink)(JsonNode *event); /* lock to change, set once */

void qmp_event_set_sink(void (*send)(JsonNode *event))
{
    g_mutex_lock(&lock);
    sink = send;
    g_mutex_unlock(&lock);
}

static void send(JsonNode *event)
{
    void (*fn)(JsonNode *event);

    g_mutex_lock(&lock);
    fn = sink;
    g_mutex_unlock(&lock);
    if (fn) {
        fn(event);
    }
}

static JsonNode *make_event(const char *name, JsonObject *data)
{
    JsonObject *top = json_object_new();
    JsonObject *stamp = json_object_new();
    int64_t now = g_get_real_time();

    json_object_set_int_member(stamp, "seconds", now / G_USEC_PER_SEC);
    json_object_set_int_member(stamp, "microseconds", now % G_USEC_PER_SEC);
    json_object_set_object_member(top, "timestamp", stamp);
    json_object_set_string_member(top, "event", name);
    if (data && json_object_get_size(data)) {
        json_object_set_object_member(top, "data", json_object_ref(data));
    }
    return qapi_node_object(top);
}

/* Key of a limited event, or NULL. */
static char *limit_key(const char *name, JsonObject *data)
{
    for (size_t i = 0; i < G_N_ELEMENTS(limited); i++) {
        if (!strcmp(limited[i].name, name)) {
            const char *subject = limited[i].subject;
            return g_strdup_printf("%s/%s", name,
                                   subject && data
                                       ? json_object_get_string_member_with_default(data, subject, "")
                                       : "");
        }
    }
    return NULL;
}

static gboolean send_waiting(gpointer opaque)
{
    LimitState *st = opaque; /* never freed */
    g_autoptr(JsonNode) event = NULL;

    g_mutex_lock(&lock);
    event = g_steal_pointer(&st->waiting);
    st->last_us = g_get_monotonic_time();
    g_mutex_unlock(&lock);
    if (event) {
        send(event);
    }
    return G_SOURCE_REMOVE;
}

/* True when the event may go out now; else it is kept for later. */
static bool pass_limit(char *key, JsonNode *event)
{
    int64_t now = g_get_monotonic_time();
    LimitState *st;
    bool pass = false;

    g_mutex_lock(&lock);
    if (!states) {
        states = g_hash_table_new(g_str_hash, g_str_equal);
    }
    st = g_hash_table_lookup(states, key);
    if (!st) {
        st = g_new0(LimitState, 1);
        st->key = g_strdup(key);
        st->last_us = now - LIMIT_PERIOD_MS * 1000;
        g_hash_table_insert(states, st->key, st);
    }
    if (st->waiting) {
        qapi_node_free(st->waiting);
        st->waiting = json_node_ref(event);
    } else if (now - st->last_us >= LIMIT_PERIOD_MS * 1000) {
        st->last_us = now;
        pass = true;
    } else {
        st->waiting = json_node_ref(event);
        g_timeout_add(LIMIT_PERIOD_MS - (now - st->last_us) / 1000, send_waiting, st);
    }
    g_mutex_unlock(&lock);
    return pass;
}

void qmp_event_emit(const char *name, JsonObject *data)
{
    g_autoptr(JsonObject) owned = data;
    g_autoptr(JsonNode) event = make_event(name, owned);
    g_autofree char *key = limit_key(name, owned);

    trace_qmp_event(name, key != NULL);
    if (!key || pass_limit(key, event)) {
        send(event);
    }
}
