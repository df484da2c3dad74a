/*
 * Fuzz target: text of an operator or a manager: option strings, sizes, UUIDs, addresses of
 * migrations.  The first byte chooses the parser.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fuzz.h"
#include "migration/channel.h"
#include "util/options.h"
#include "util/util.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    return 0;
}

static void take_all(JsonObject *o)
{
    static const char *const names[] = { "on", "off", "auto", NULL };
    g_autofree char *text = NULL;
    bool on = false;
    uint64_t n = 0, size = 0;
    int choice = 0;

    options_take_str(o, "a", &text, NULL);
    options_take_bool(o, "b", &on, NULL);
    options_take_u64(o, "c", 1000, &n, NULL);
    g_assert(n <= 1000);
    options_take_size(o, "d", 'M', &size, NULL);
    options_take_enum(o, "e", names, &choice, NULL);
    g_assert(choice >= 0 && choice < 3);
    options_finish(o, "fuzz", NULL);
}

static void address(MigrateAddress *a)
{
    if (a) {
        g_autofree char *text = migrate_address_to_str(a);
        g_autoptr(MigrateAddress) copy = migrate_address_copy(a);
        g_autofree char *again = migrate_address_to_str(copy);

        g_assert_cmpstr(text, ==, again);
        migrate_address_free(a);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput in = { data, size };
    unsigned which = fuzz_take_u8(&in) % 6;
    g_autofree char *text = fuzz_take_text(&in);
    g_autoptr(JsonObject) o = NULL;
    uint8_t uuid[16];
    uint64_t bytes;

    switch (which) {
    case 0:
        o = options_parse(text, "a", NULL);
        break;
    case 1:
        o = options_parse_flat(text, NULL, NULL);
        break;
    case 2:
        parse_size(text, 'M', &bytes);
        break;
    case 3:
        parse_uuid(text, uuid);
        break;
    case 4:
        address(migrate_address_parse(text, NULL));
        break;
    default:
        address(migrate_address_from_option(text, NULL));
        break;
    }
    if (o) {
        take_all(o);
    }
    return 0;
}
