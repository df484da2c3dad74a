/*
 * Fuzz target: JSON as a QMP monitor reads it.  The bytes go through the splitter in pieces
 * whose length the first byte gives; every value that comes out is printed and read again.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "fuzz.h"
#include "qapi/json.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    return 0;
}

static void check_again(JsonNode *node)
{
    g_autofree char *text = json_print(node, false);
    g_autofree char *text_again = NULL;
    Error *err = NULL;
    JsonNode *again = json_parse_text(text, strlen(text), &err);

    g_assert(again && !err);
    text_again = json_print(again, false);
    g_assert_cmpstr(text, ==, text_again);
    json_node_unref(again);
}

static void got(void *opaque, JsonNode *node, Error *err)
{
    g_assert(!node != !err);
    if (node) {
        check_again(node);
        json_node_unref(node);
    }
    g_clear_error(&err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput in = { data, size };
    size_t piece = 1 + fuzz_take_u8(&in);
    JsonSplitter s;
    JsonNode *node;

    json_splitter_init(&s, got, NULL);
    for (size_t at = 0; at < in.len; at += piece) {
        json_splitter_feed(&s, in.data + at, MIN(piece, in.len - at));
    }
    json_splitter_clear(&s);
    node = json_parse_text((const char *)in.data, in.len, NULL);
    if (node) {
        check_again(node);
        json_node_unref(node);
    }
    return 0;
}
