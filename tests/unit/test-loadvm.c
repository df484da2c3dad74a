/*
 * Unit tests of the reader of streams: a good stream, the same cut at every byte and with
 * every byte changed, and malformed elements one by one, each with what the error says.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include <sys/socket.h>

#include "migration/config.h"
#include "migration/globalstate.h"
#include "migration/migration.h"
#include "migration/ram.h"
#include "migration/return-path.h"
#include "migration/savevm.h"
#include "migration/state.h"
#include "migration/stream-internal.h"
#include "migration/verify.h"
#include "migration/wire.h"
#include "system/machine-lock.h"
#include "util/util.h"

#define PAGE TARGET_PAGE_SIZE
#define PAGES 6

static RAMBlock *block;

typedef struct Fixture {
    MigStateMachine state;
    Migration m;
} Fixture;

static void set_up(Fixture *f, bool source)
{
    memset(f, 0, sizeof(*f));
    mig_state_init(&f->state, source ? MIG_SRC : MIG_DST, NULL, NULL);
    f->m.source = source;
    f->m.state = &f->state;
    f->m.detect_zero = true;
    f->m.config = mig_config_freeze(mig_settings());
    g_mutex_init(&f->m.error_lock);
    machine_lock();
    if (source) {
        f->m.ram = ram_source_new(f->m.config, false);
        g_assert_true(ram_dirty_start_log(f->m.ram, NULL));
    } else {
        f->m.ram_dest = ram_dest_new(f->m.config);
        f->m.load = loadvm_new();
        f->m.channel = io_channel_buffer_new(NULL, 0);
        f->m.channel->two_way = true;
    }
    machine_unlock();
}

static void tear_down(Fixture *f)
{
    ram_source_free(f->m.ram);
    ram_dest_free(f->m.ram_dest);
    loadvm_free(f->m.load);
    return_path_send_free(f->m.rp_send);
    verify_free(f->m.verify);
    io_channel_unref(f->m.channel);
    mig_config_free(f->m.config);
    mig_state_clear(&f->state);
    g_mutex_clear(&f->m.error_lock);
}

/* Header, START, PART, END, devices, EOF. */
static GByteArray *good_stream(void)
{
    Fixture f;
    Error *err = NULL;
    const void *data;
    size_t len;
    GByteArray *bytes = g_byte_array_new();

    for (int i = 0; i < PAGES; i++) {
        memset(block->host + i * PAGE, i % 3 ? 0x11 * i : 0, PAGE);
    }
    set_up(&f, true);
    f.m.out = stream_new_output_memory();
    savevm_send_header(&f.m, f.m.out);
    g_assert_true(savevm_setup(&f.m, &err));
    g_assert_true(savevm_iterate(&f.m, &err));
    g_assert_true(savevm_complete_live(&f.m, false, &err));
    machine_lock();
    globalstate_store(globalstate(), RUN_STATE_RUNNING);
    g_assert_true(savevm_save_devices(&f.m, f.m.out, &err));
    machine_unlock();
    savevm_send_eof(f.m.out);
    data = stream_memory_data(f.m.out, &len);
    g_byte_array_append(bytes, data, len);
    stream_free(f.m.out);
    tear_down(&f);
    return bytes;
}

/* Load; NULL: good.  The message otherwise (g_free). */
static char *load(const void *data, size_t len)
{
    g_autoptr(Stream) s = stream_new_input_memory(data, len);
    g_autoptr(Error) err = NULL;
    Fixture f;
    LoadResult r = LOAD_ERROR;

    set_up(&f, false);
    if (loadvm_header(&f.m, s, &err)) {
        r = loadvm_run(&f.m, s, false, &err);
    }
    tear_down(&f);
    g_assert_cmpint(r == LOAD_EOF, ==, !err);
    return err ? g_strdup(err->message) : NULL;
}

static void test_good(void)
{
    g_autoptr(GByteArray) bytes = good_stream();
    g_autofree char *error = NULL;

    memset(block->host, 0xff, PAGES * PAGE);
    globalstate_forget(globalstate());
    error = load(bytes->data, bytes->len);
    g_assert_cmpstr(error, ==, NULL);
    for (int i = 0; i < PAGES; i++) {
        g_assert_cmpint(block->host[i * PAGE + 77], ==, i % 3 ? 0x11 * i : 0);
    }
    g_assert_true(globalstate()->received);
    g_assert_cmpint(globalstate()->loaded, ==, RUN_STATE_RUNNING);
}

static void test_cut_everywhere(void)
{
    g_autoptr(GByteArray) bytes = good_stream();

    for (guint cut = 0; cut < bytes->len; cut++) {
        /* Inside page data every byte is like its neighbours. */
        bool quick = cut > 300 && cut + 500 < bytes->len && cut % 97;
        g_autofree char *error = quick ? NULL : load(bytes->data, cut);

        g_assert_true(quick || (error && strstr(error, "offset")));
    }
}

/* Nothing worse than an error, or other contents, may come of any changed byte. */
static void test_change_every_byte(void)
{
    g_autoptr(GByteArray) bytes = good_stream();
    static const uint8_t patterns[] = { 0xff, 0x80, 0x01 };

    for (guint at = 0; at < bytes->len; at++) {
        if (at > 300 && at + 500 < bytes->len && at % 61) {
            continue;
        }
        for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
            bytes->data[at] ^= patterns[i];
            g_free(load(bytes->data, bytes->len));
            bytes->data[at] ^= patterns[i];
        }
    }
}

/* ---- malformed elements ---- */

static Stream *begin(void)
{
    Stream *s = stream_new_output_memory();

    stream_put_be32(s, WIRE_FILE_MAGIC);
    stream_put_be32(s, WIRE_FILE_VERSION);
    stream_put_u8(s, WIRE_CONFIGURATION);
    stream_put_be32(s, 4);
    stream_put_bytes(s, "none", 4);
    return s;
}

static void expect(Stream *s, const char *text)
{
    size_t len;
    const void *data = stream_memory_data(s, &len);
    g_autofree char *error = load(data, len);

    g_test_message("%s", error ? error : "(loaded)");
    g_assert_nonnull(error);
    g_assert_nonnull(strstr(error, "offset"));
    g_assert_nonnull(strstr(error, text));
    stream_free(s);
}

static void put_section(Stream *s, WireElement kind, uint32_t id, const char *name,
                        uint32_t instance, uint32_t version)
{
    stream_put_u8(s, kind);
    stream_put_be32(s, id);
    stream_put_str8(s, name);
    stream_put_be32(s, instance);
    stream_put_be32(s, version);
}

static void put_footer(Stream *s, uint32_t id)
{
    stream_put_u8(s, WIRE_FOOTER);
    stream_put_be32(s, id);
}

static void test_bad_sections(void)
{
    Stream *s = begin();

    stream_put_u8(s, 0x33);
    expect(s, "0x33");
    s = begin();
    put_section(s, WIRE_SECTION_FULL, 1, "flux\ncapacitor", 0, 1);
    expect(s, "section 'flux\\ncapacitor'");
    s = begin();
    put_section(s, WIRE_SECTION_FULL, 1, "", 0, 1);
    expect(s, "section ''");
    s = begin();
    put_section(s, WIRE_SECTION_FULL, 1, "timer", 5, 2);
    expect(s, "instance 5");
    s = begin();
    put_section(s, WIRE_SECTION_FULL, 1, "timer", 0, 3);
    expect(s, "version 3");
    s = begin();
    put_section(s, WIRE_SECTION_FULL, 1, "timer", 0, 0xffffffff);
    expect(s, "version 4294967295");
    s = begin();
    put_section(s, WIRE_SECTION_START, 1, "timer", 0, 2);
    expect(s, "cannot come as SECTION_START");
    s = begin();
    put_section(s, WIRE_SECTION_FULL, 1, "ram", 0, 4);
    expect(s, "cannot come as SECTION_FULL");
    s = begin();
    put_section(s, WIRE_SECTION_START, 1, "ram", 0, 3);
    expect(s, "version 3");
    s = begin();
    stream_put_u8(s, WIRE_SECTION_PART);
    stream_put_be32(s, 77);
    expect(s, "section id 77");
    /* A device's section is not one that goes on. */
    s = begin();
    put_section(s, WIRE_SECTION_FULL, 9, "timer", 0, 2);
    for (int i = 0; i < 3; i++) {
        stream_put_be64(s, 0);
    }
    put_footer(s, 9);
    stream_put_u8(s, WIRE_SECTION_END);
    stream_put_be32(s, 9);
    expect(s, "section id 9");
    s = begin();
    put_section(s, WIRE_SECTION_START, 2, "ram", 0, 4);
    stream_put_be64(s, WIRE_RAM_EOS);
    put_footer(s, 3);
    expect(s, "footer");
    s = begin();
    stream_put_u8(s, WIRE_SUBSECTION);
    expect(s, "0x05");
    /* A live thing starts once, whatever id it has: the table of ids must not grow. */
    for (uint32_t id = 2; id <= 3; id++) {
        s = begin();
        for (int i = 0; i < 2; i++) {
            put_section(s, WIRE_SECTION_START, i ? id : 2, "ram", 0, 4);
            stream_put_be64(s, WIRE_RAM_EOS);
            put_footer(s, i ? id : 2);
        }
        expect(s, "started before");
    }
}

static void test_bad_header(void)
{
    static const struct {
        uint32_t magic, version;
        const char *text;
    } headers[] = {
        { 0x12345678, 3, "header" }, { WIRE_FILE_MAGIC, 2, "header" },
        { WIRE_FILE_MAGIC, 4, "header" },
    };
    Stream *s;

    for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
        s = stream_new_output_memory();
        stream_put_be32(s, headers[i].magic);
        stream_put_be32(s, headers[i].version);
        expect(s, headers[i].text);
    }
    s = stream_new_output_memory();
    stream_put_be64(s, (uint64_t)WIRE_FILE_MAGIC << 32 | WIRE_FILE_VERSION);
    stream_put_u8(s, WIRE_EOF);
    expect(s, "configuration");
    s = stream_new_output_memory();
    stream_put_be64(s, (uint64_t)WIRE_FILE_MAGIC << 32 | WIRE_FILE_VERSION);
    stream_put_u8(s, WIRE_CONFIGURATION);
    stream_put_be32(s, 0x7fffffff);
    stream_put_bytes(s, "none", 4);
    expect(s, "configuration");
    s = stream_new_output_memory();
    stream_put_be64(s, (uint64_t)WIRE_FILE_MAGIC << 32 | WIRE_FILE_VERSION);
    stream_put_u8(s, WIRE_CONFIGURATION);
    stream_put_be32(s, 7);
    stream_put_bytes(s, "microvm", 7);
    expect(s, "microvm");
    s = begin();
    stream_put_u8(s, WIRE_SUBSECTION);
    stream_put_str8(s, "configuration/capabilities");
    stream_put_be32(s, 1);
    stream_put_be32(s, 1);
    stream_put_str8(s, "mapped-ram");
    expect(s, "mapped-ram");
    s = begin();
    stream_put_u8(s, WIRE_SUBSECTION);
    stream_put_str8(s, "configuration/capabilities");
    stream_put_be32(s, 1);
    stream_put_be32(s, 0xffffffff);
    expect(s, "capabilities");
    s = begin();
    stream_put_u8(s, WIRE_SUBSECTION);
    stream_put_str8(s, "configuration/unheard-of");
    stream_put_be32(s, 1);
    expect(s, "unheard-of");
}

static void put_command(Stream *s, uint16_t cmd, uint16_t len)
{
    stream_put_u8(s, WIRE_COMMAND);
    stream_put_be16(s, cmd);
    stream_put_be16(s, len);
}

static void test_bad_commands(void)
{
    static const struct {
        uint16_t cmd, len;
        const char *text;
    } bad[] = {
        { 0, 0, "command" },                   { 12, 0, "command" },
        { 0xffff, 0xffff, "command" },         { 1, 1, "OPEN_RETURN_PATH" },
        { 2, 3, "PING" },                      { 4, 0, "outside of a package" },
        { 5, 0, "outside of a package" },      { 7, 8, "PACKAGED" },
        { 8, 0, "ENABLE_COLO" },               { 9, 0, "POSTCOPY_RESUME" },
        { 10, 2, "RECV_BITMAP" },              { 11, 1, "SWITCHOVER_START" },
        { 6, 3, "POSTCOPY_RAM_DISCARD" },      { 3, 15, "POSTCOPY_ADVISE" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        Stream *s = begin();
        static const uint8_t payload[16];

        put_command(s, bad[i].cmd, bad[i].len);
        stream_put_bytes(s, payload, MIN(bad[i].len, sizeof(payload)));
        expect(s, bad[i].text);
    }
    /* A PING that nobody can answer. */
    Stream *s = begin();
    put_command(s, WIRE_CMD_PING, 4);
    stream_put_be32(s, 1);
    expect(s, "no return path");
}

static void test_bad_package(void)
{
    Stream *s = begin();

    /* More than may be; more than there is; with commands that do not belong there. */
    put_command(s, WIRE_CMD_PACKAGED, 4);
    stream_put_be32(s, 0xffffffff);
    expect(s, "PACKAGED");
    s = begin();
    put_command(s, WIRE_CMD_PACKAGED, 4);
    stream_put_be32(s, 1000);
    stream_put_u8(s, WIRE_EOF);
    expect(s, "PACKAGED");
    s = begin();
    put_command(s, WIRE_CMD_PACKAGED, 4);
    stream_put_be32(s, 9);
    put_command(s, WIRE_CMD_PACKAGED, 4);
    stream_put_be32(s, 0);
    expect(s, "inside a package");
    s = begin();
    put_command(s, WIRE_CMD_PACKAGED, 4);
    stream_put_be32(s, 3);
    stream_put_bytes(s, "\x04\x00\x00", 3);
    expect(s, "package");
    /* Sections that go on are the main stream's. */
    s = begin();
    put_command(s, WIRE_CMD_PACKAGED, 4);
    stream_put_be32(s, 17);
    put_section(s, WIRE_SECTION_START, 2, "ram", 0, 4);
    expect(s, "SECTION_START cannot come inside a package");
    s = begin();
    put_command(s, WIRE_CMD_PACKAGED, 4);
    stream_put_be32(s, 5);
    stream_put_u8(s, WIRE_SECTION_PART);
    stream_put_be32(s, 2);
    expect(s, "SECTION_PART cannot come inside a package");
}

/*
 * Loading a device leaves the table of sections that go on alone, even when it has the id of one
 * of these: the package's devices are loaded by one thread while another one looks pages' sections
 * up there.
 */
/* Digests of pages: announced, in order, of pages that there are, all of them. */
static void put_verify(Stream *s, const char *hex)
{
    put_command(s, WIRE_CMD_FERRY_VERIFY, strlen(hex) / 2);
    for (; *hex; hex += 2) {
        stream_put_u8(s, g_ascii_xdigit_value(hex[0]) << 4 | g_ascii_xdigit_value(hex[1]));
    }
}

#define VERIFY_BEGINS "00" "01" "0000000000000000"
#define DIGEST "1111111111111111"

static const struct {
    const char *hex[3];
    const char *text;
} bad_digests[] = {
    { { "" }, "it is empty" },
    { { "07" }, "unknown kind 7" },
    { { "00" "02" "0000000000000000" }, "digests of kind 2" },
    { { "00" "01" "00" }, "digests of kind 1" },
    { { "02" }, "digests of 0 pages have come" },
    { { "01" "0372616d" "0000000000000000" DIGEST }, "make no sense here" },
    { { VERIFY_BEGINS, "01" }, "make no sense here" },
    { { VERIFY_BEGINS, "01" "0372616d" "0000000000000000" }, "make no sense here" },
    { { VERIFY_BEGINS, "01" "ff72616d" "0000000000000000" DIGEST }, "make no sense here" },
    { { VERIFY_BEGINS, "01" "036e6f6e" "0000000000000000" DIGEST }, "block 'non', which are not" },
    { { VERIFY_BEGINS, "01" "0372616d" "0000000000000006" DIGEST }, "which are not there" },
    { { VERIFY_BEGINS, "01" "0372616d" "0000000000000005" DIGEST DIGEST }, "which are not there" },
    { { VERIFY_BEGINS, "01" "0372616d" "ffffffffffffffff" DIGEST }, "which are not there" },
    { { VERIFY_BEGINS, "01" "0372616d" "0000000000000000" DIGEST, "02" },
      "digests of 1 pages have come, and there are 6" },
    { { VERIFY_BEGINS, "01" "0372616d" "0000000000000000" DIGEST DIGEST DIGEST DIGEST DIGEST DIGEST,
        "02" }, "6 of 6 pages are not what the source sent, the first one is 0x0 of RAM block 'ram', "
      "and the device state is not" },
};

static void test_bad_verify(void)
{
    Stream *s = begin();

    put_verify(s, VERIFY_BEGINS);
    expect(s, "without PING VERIFY");
    for (size_t i = 0; i < ARRAY_SIZE(bad_digests); i++) {
        s = begin();
        put_command(s, WIRE_CMD_OPEN_RETURN_PATH, 0);
        put_command(s, WIRE_CMD_PING, 4);
        stream_put_be32(s, WIRE_PING_VERIFY);
        for (int k = 0; k < 3 && bad_digests[i].hex[k]; k++) {
            put_verify(s, bad_digests[i].hex[k]);
        }
        expect(s, bad_digests[i].text);
    }
}

static void test_devices_leave_table(void)
{
    g_autoptr(Stream) s = begin();
    g_autofree char *error = NULL;
    const void *data;
    size_t len;

    put_section(s, WIRE_SECTION_START, 2, "ram", 0, 4);
    stream_put_be64(s, WIRE_RAM_EOS);
    put_footer(s, 2);
    put_section(s, WIRE_SECTION_FULL, 2, "timer", 0, 2);
    for (int i = 0; i < 3; i++) {
        stream_put_be64(s, 0);
    }
    put_footer(s, 2);
    stream_put_u8(s, WIRE_SECTION_END);
    stream_put_be32(s, 2);
    stream_put_be64(s, WIRE_RAM_EOS);
    put_footer(s, 2);
    stream_put_u8(s, WIRE_EOF);
    data = stream_memory_data(s, &len);
    error = load(data, len);
    g_assert_cmpstr(error, ==, NULL);
}

static void test_switchover_start_accepted(void)
{
    Stream *s = begin();
    size_t len;
    const void *data;

    put_command(s, WIRE_CMD_SWITCHOVER_START, 0);
    stream_put_u8(s, WIRE_EOF);
    data = stream_memory_data(s, &len);
    g_assert_cmpstr(load(data, len), ==, NULL);
    stream_free(s);
}

/* 7.2 has 100 bytes for the name of the run state and no flags behind it. */
static void test_globalstate_forms(void)
{
    static const struct {
        const char *name;
        uint8_t known, suspended;
        bool good;
        RunState loaded;
    } forms[] = {
        { "running", 0, 0, true, RUN_STATE_RUNNING },
        { "running", 1, 1, true, RUN_STATE_SUSPENDED },
        { "prelaunch", 1, 0, true, RUN_STATE_PRELAUNCH },
        { "dancing", 0, 0, false, 0 },
        { "0123456789012345678901234567890123456789", 0, 0, false, 0 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
        Stream *s = begin();
        char state[100] = { 0 };
        size_t len;
        const void *data;
        g_autofree char *error = NULL;

        strcpy(state, forms[i].name);
        if (strlen(forms[i].name) < 32) {
            state[32] = forms[i].known;
            state[33] = forms[i].suspended;
        }
        put_section(s, WIRE_SECTION_FULL, 3, "globalstate", 0, 1);
        stream_put_be32(s, strlen(forms[i].name) + 1);
        stream_put_bytes(s, state, sizeof(state));
        put_footer(s, 3);
        stream_put_u8(s, WIRE_EOF);
        data = stream_memory_data(s, &len);
        error = load(data, len);
        g_assert_cmpint(!error, ==, forms[i].good);
        g_assert_true(error || globalstate()->loaded == forms[i].loaded);
        g_assert_true(!error || strstr(error, "globalstate"));
        stream_free(s);
    }
}

int main(int argc, char **argv)
{
    RAMBlockOptions opts = { .fd = -1, .dump = true };

    g_test_init(&argc, &argv, NULL);
    machine_lock();
    block = ramblock_new("ram", PAGES * PAGE, &opts, NULL);
    block->migratable = true;
    migration_init();
    migration_machine_ready();
    machine_unlock();

    g_test_add_func("/loadvm/good", test_good);
    g_test_add_func("/loadvm/cut-everywhere", test_cut_everywhere);
    g_test_add_func("/loadvm/change-every-byte", test_change_every_byte);
    g_test_add_func("/loadvm/bad/header", test_bad_header);
    g_test_add_func("/loadvm/bad/sections", test_bad_sections);
    g_test_add_func("/loadvm/bad/commands", test_bad_commands);
    g_test_add_func("/loadvm/bad/package", test_bad_package);
    g_test_add_func("/loadvm/bad/verify", test_bad_verify);
    g_test_add_func("/loadvm/devices-leave-table", test_devices_leave_table);
    g_test_add_func("/loadvm/switchover-start", test_switchover_start_accepted);
    g_test_add_func("/loadvm/globalstate", test_globalstate_forms);
    return g_test_run();
}
