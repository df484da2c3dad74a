/*
 * Fuzz target: a client of QMP.  The text goes through the splitter, every value to the
 * dispatcher and so to the commands of a PC that waits for a migration; each reply must be JSON
 * with exactly one of `return` and `error`.  Nothing leaves the process (fuzz-outside.c).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fuzz.h"

#include <string.h>

#include "monitor/monitor-internal.h"
#include "qapi/json.h"
#include "system/machine-lock.h"
#include "util/util.h"

static QmpSession session;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_make_pc(4 * MiB);
    return 0;
}

/* What cannot be undone: monitors and qtest servers stay until the end of the process. */
static bool left_out(const char *text)
{
    return strstr(text, "monitor-") || strstr(text, "\"qtest\"");
}

static void check_reply(JsonNode *reply)
{
    g_autofree char *text = json_print(reply, false);
    JsonNode *again = json_parse_text(text, strlen(text), NULL);
    JsonObject *o;

    g_assert(again);
    o = json_node_get_object(again);
    g_assert(json_object_has_member(o, "return") != json_object_has_member(o, "error"));
    json_node_unref(again);
}

static void got(void *opaque, JsonNode *node, Error *err)
{
    g_autofree char *text = node ? json_print(node, false) : NULL;
    g_autoptr(JsonNode) reply = NULL;

    if (!node) {
        reply = qmp_error_reply(err, NULL);
        g_clear_error(&err);
    } else if (!left_out(text)) {
        reply = qmp_dispatch(&session, node);
    }
    if (reply) {
        check_reply(reply);
    }
    g_clear_pointer(&node, json_node_unref);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    JsonSplitter s;

    MACHINE_LOCK_GUARD();
    session = (QmpSession){ .negotiated = true };
    fuzz_isolate(true);
    json_splitter_init(&s, got, NULL);
    json_splitter_feed(&s, data, size);
    json_splitter_clear(&s);
    fuzz_run_main_loop();
    fuzz_drop_objects();
    fuzz_drop_chardevs();
    fuzz_isolate(false);
    return 0;
}
