/*
 * Unit tests of migration/config.c: names, ranges, conflicts, all-or-nothing, freezing.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "migration/config.h"
#include "util/util.h"

static char *set_caps(MigSettings *s, bool running, size_t n, const MigCapChange *changes)
{
    g_autoptr(Error) err = NULL;
    bool ok = mig_settings_set_caps(s, changes, n, running, &err);

    g_assert_true(ok == (err == NULL));
    return err ? g_strdup(err->message) : NULL;
}

#define caps(s, running, ...)                                                        \
    set_caps(s, running, ARRAY_SIZE(((MigCapChange[]){ __VA_ARGS__ })),              \
             (MigCapChange[]){ __VA_ARGS__ })

static char *set_params(MigSettings *s, bool running, size_t n, const MigParamChange *changes)
{
    g_autoptr(Error) err = NULL;
    bool ok = mig_settings_set_params(s, changes, n, running, &err);

    g_assert_true(ok == (err == NULL));
    return err ? g_strdup(err->message) : NULL;
}

#define params(s, running, ...)                                                      \
    set_params(s, running, ARRAY_SIZE(((MigParamChange[]){ __VA_ARGS__ })),          \
               (MigParamChange[]){ __VA_ARGS__ })

#define assert_ok(call)                                                              \
    do {                                                                             \
        g_autofree char *message_ = (call);                                          \
        g_assert_cmpstr(message_, ==, NULL);                                         \
    } while (0)
#define assert_refused(call, part)                                                   \
    do {                                                                             \
        g_autofree char *message_ = (call);                                          \
        if (!message_ || !strstr(message_, part)) {                                  \
            g_error("'%s' is not in '%s'", part, message_ ? message_ : "(accepted)"); \
        }                                                                            \
    } while (0)

static void test_capabilities(void)
{
    static const MigCap works[] = {
        MIG_CAP_EVENTS, MIG_CAP_POSTCOPY_RAM, MIG_CAP_RETURN_PATH,
        MIG_CAP_PAUSE_BEFORE_SWITCHOVER, MIG_CAP_POSTCOPY_BLOCKTIME, MIG_CAP_LATE_BLOCK_ACTIVATE,
        MIG_CAP_X_IGNORE_SHARED, MIG_CAP_VALIDATE_UUID, MIG_CAP_MULTIFD,
        MIG_CAP_XBZRLE,
        MIG_CAP_AUTO_CONVERGE, MIG_CAP_SWITCHOVER_ACK, MIG_CAP_DIRTY_LIMIT,
        MIG_CAP_BACKGROUND_SNAPSHOT,
        MIG_CAP_POSTCOPY_PREEMPT, MIG_CAP_MAPPED_RAM, MIG_CAP_X_VERIFY,
    };
    uint64_t working = 0;

    for (size_t i = 0; i < ARRAY_SIZE(works); i++) {
        working |= 1ull << works[i];
    }
    for (int i = 0; i < MIG_CAP__MAX; i++) {
        g_autoptr(MigSettings) s = mig_settings_new();
        MigCap found;
        g_assert_true(mig_cap_from_name(mig_cap_name(i), &found));
        g_assert_cmpint(found, ==, i);
        g_assert_true(mig_cap_supported(i) == !!(working & (1ull << i)));
        /* Off is always fine, on is refused by name when the build lacks it. */
        assert_ok(caps(s, false, { i, false }));
        if (mig_cap_supported(i)) {
            assert_ok(caps(s, false, { i, true },
                           { i == MIG_CAP_SWITCHOVER_ACK      ? MIG_CAP_RETURN_PATH
                             : i == MIG_CAP_POSTCOPY_PREEMPT ? MIG_CAP_POSTCOPY_RAM
                                                             : i, true }));
            g_assert_true(mig_settings_get(s)->cap[i]);
        } else {
            g_autofree char *part = g_strdup_printf("'%s' is not supported", mig_cap_name(i));
            assert_refused(caps(s, false, { i, true }), part);
            g_assert_false(mig_settings_get(s)->cap[i]);
        }
    }
    MigCap dummy;
    g_assert_false(mig_cap_from_name("compress", &dummy));
}

static void test_all_or_nothing(void)
{
    g_autoptr(MigSettings) s = mig_settings_new();

    assert_refused(caps(s, false, { MIG_CAP_EVENTS, true }, { MIG_CAP_X_COLO, true }),
                   "'x-colo' is not supported");
    g_assert_false(mig_settings_get(s)->cap[MIG_CAP_EVENTS]);
    /* The result counts, not the way: the last word on a capability is the one. */
    assert_ok(caps(s, false, { MIG_CAP_X_COLO, true }, { MIG_CAP_EVENTS, true },
                   { MIG_CAP_X_COLO, false }));
    g_assert_true(mig_settings_get(s)->cap[MIG_CAP_EVENTS]);
    assert_refused(caps(s, true, { MIG_CAP_EVENTS, false }), "in progress");
    g_assert_true(mig_settings_get(s)->cap[MIG_CAP_EVENTS]);

    assert_refused(params(s, false, { .param = MIG_PARAM_DOWNTIME_LIMIT, .num = 5 },
                          { .param = MIG_PARAM_ANNOUNCE_STEP, .num = 0 }), "announce-step");
    g_assert_cmpuint(mig_settings_get(s)->downtime_limit, ==, 300);
}

static void test_conflicts(void)
{
    g_autoptr(MigSettings) s = mig_settings_new();

    assert_refused(caps(s, false, { MIG_CAP_BACKGROUND_SNAPSHOT, true },
                        { MIG_CAP_VALIDATE_UUID, true }),
                   "'background-snapshot' and 'validate-uuid' cannot be on together");
    assert_refused(caps(s, false, { MIG_CAP_POSTCOPY_RAM, true },
                        { MIG_CAP_X_IGNORE_SHARED, true }),
                   "'postcopy-ram' and 'x-ignore-shared' cannot be on together: ");
    assert_ok(caps(s, false, { MIG_CAP_X_IGNORE_SHARED, true }));
    assert_refused(caps(s, false, { MIG_CAP_POSTCOPY_RAM, true }), "cannot be on together");
    /* Swapping them in one call is fine. */
    assert_ok(caps(s, false, { MIG_CAP_POSTCOPY_RAM, true }, { MIG_CAP_X_IGNORE_SHARED, false }));

    assert_refused(caps(s, false, { MIG_CAP_SWITCHOVER_ACK, true }),
                   "'switchover-ack' needs 'return-path'");
    assert_ok(caps(s, false, { MIG_CAP_SWITCHOVER_ACK, true }, { MIG_CAP_RETURN_PATH, true }));
    assert_refused(caps(s, false, { MIG_CAP_RETURN_PATH, false }), "needs 'return-path'");

    assert_refused(caps(s, false, { MIG_CAP_DIRTY_LIMIT, true }, { MIG_CAP_AUTO_CONVERGE, true }),
                   "'dirty-limit' and 'auto-converge' cannot be on together");

    assert_refused(caps(s, false, { MIG_CAP_MAPPED_RAM, true }, { MIG_CAP_XBZRLE, true }),
                   "'mapped-ram' and 'xbzrle' cannot be on together");
    assert_refused(caps(s, false, { MIG_CAP_MAPPED_RAM, true }, { MIG_CAP_POSTCOPY_RAM, true }),
                   "'mapped-ram' and 'postcopy-ram' cannot be on together");
    assert_ok(caps(s, false, { MIG_CAP_MAPPED_RAM, true }, { MIG_CAP_MULTIFD, true },
                   { MIG_CAP_POSTCOPY_RAM, false }));

    assert_refused(params(s, false, { .param = MIG_PARAM_MAX_CPU_THROTTLE, .num = 10 }),
                   "must not be below 'cpu-throttle-initial' (20)");
    assert_ok(params(s, false, { .param = MIG_PARAM_MAX_CPU_THROTTLE, .num = 10 },
                     { .param = MIG_PARAM_CPU_THROTTLE_INITIAL, .num = 10 }));
}

static int host_checks;

static bool host_cannot(Error **errp)
{
    host_checks++;
    error_setg(errp, "the kernel has no userfaultfd");
    return false;
}

static bool yes(void)
{
    return true;
}

static void test_hooks(void)
{
    g_autoptr(MigSettings) s = mig_settings_new();

    mig_settings_set_cap_check(s, MIG_CAP_POSTCOPY_RAM, host_cannot);
    assert_refused(caps(s, false, { MIG_CAP_POSTCOPY_RAM, true }),
                   "capability 'postcopy-ram': the kernel has no userfaultfd");
    g_assert_cmpint(host_checks, ==, 1);
    assert_ok(caps(s, false, { MIG_CAP_EVENTS, true }, { MIG_CAP_POSTCOPY_RAM, false }));
    g_assert_cmpint(host_checks, ==, 1);
    g_assert_false(mig_settings_in_progress(s));
    mig_settings_set_in_progress(s, yes);
    g_assert_true(mig_settings_in_progress(s));
}

/* name, lowest, highest, default: written out a second time. */
static const struct {
    const char *name;
    uint64_t min, max, def;
} numbers[] = {
    { "announce-initial", 0, 100000, 50 },
    { "announce-max", 0, 100000, 550 },
    { "announce-rounds", 0, 1000, 5 },
    { "announce-step", 1, 10000, 100 },
    { "throttle-trigger-threshold", 1, 100, 50 },
    { "cpu-throttle-initial", 1, 99, 20 },
    { "cpu-throttle-increment", 1, 99, 10 },
    { "cpu-throttle-tailslow", 0, 1, 0 },
    { "max-bandwidth", 0, INT64_MAX, 128 * MiB },
    { "avail-switchover-bandwidth", 0, INT64_MAX, 0 },
    { "max-postcopy-bandwidth", 0, INT64_MAX, 0 },
    { "downtime-limit", 0, 2000000, 300 },
    { "x-checkpoint-delay", 0, UINT32_MAX, 20000 },
    { "multifd-channels", 1, 255, 2 },
    { "multifd-zlib-level", 0, 9, 1 },
    { "multifd-zstd-level", 0, 20, 1 },
    { "multifd-qatzip-level", 1, 9, 1 },
    { "zero-page-detection", 0, 2, 2 },
    { "x-vcpu-dirty-limit-period", 1, 1000, 1000 },
    { "vcpu-dirty-limit", 1, INT64_MAX, 1 },
};

static void test_ranges(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        g_autoptr(MigSettings) s = mig_settings_new();
        MigParam p;
        g_assert_true(mig_param_from_name(numbers[i].name, &p));
        g_assert_cmpuint(mig_config_num(mig_settings_get(s), p), ==, numbers[i].def);
        assert_ok(params(s, false, { .param = p, .num = numbers[i].min }));
        assert_ok(params(s, false, { .param = p, .num = numbers[i].max }));
        g_assert_cmpuint(mig_config_num(mig_settings_get(s), p), ==, numbers[i].max);
        assert_refused(params(s, false, { .param = p, .num = numbers[i].max + 1 }),
                       numbers[i].name);
        if (numbers[i].min) {
            assert_refused(params(s, false, { .param = p, .num = numbers[i].min - 1 }),
                           numbers[i].name);
        }
        g_assert_cmpuint(mig_config_num(mig_settings_get(s), p), ==, numbers[i].max);
    }
}

static void test_special(void)
{
    g_autoptr(MigSettings) s = mig_settings_new();
    static const char *const command[] = { "exec", "me", NULL };

    assert_ok(params(s, false, { .param = MIG_PARAM_XBZRLE_CACHE_SIZE, .num = 1 << 20 }));
    assert_refused(params(s, false, { .param = MIG_PARAM_XBZRLE_CACHE_SIZE, .num = 5000 }),
                   "power of two");
    assert_refused(params(s, false, { .param = MIG_PARAM_XBZRLE_CACHE_SIZE, .num = 2048 }),
                   "from 4096");
    assert_refused(params(s, false, { .param = MIG_PARAM_X_RDMA_CHUNK_SIZE, .num = 3 << 20 }),
                   "power of two");
    assert_refused(params(s, false, { .param = MIG_PARAM_MULTIFD_COMPRESSION,
                                      .num = MIG_COMPRESSION_QPL }), "'qpl' is not supported");
    assert_ok(params(s, false, { .param = MIG_PARAM_MODE, .num = MIG_MODE_CPR_EXEC },
                     { .param = MIG_PARAM_CPR_EXEC_COMMAND, .strv = command }));
    g_assert_cmpstr(mig_settings_get(s)->cpr_exec_command[1], ==, "me");
    assert_refused(params(s, true, { .param = MIG_PARAM_MODE, .num = MIG_MODE_NORMAL }),
                   "in progress: parameter 'mode'");
    assert_ok(params(s, false, { .param = MIG_PARAM_DIRECT_IO, .num = 1 }));
    assert_ok(params(s, false, { .param = MIG_PARAM_TLS_CREDS, .str = "tls0" },
                     { .param = MIG_PARAM_TLS_AUTHZ, .str = "authz0" }));
    /* What libvirt sets in every migration. */
    assert_ok(params(s, false, { .param = MIG_PARAM_TLS_CREDS, .str = "" },
                     { .param = MIG_PARAM_TLS_HOSTNAME, .str = "" },
                     { .param = MIG_PARAM_MAX_BANDWIDTH, .num = 9223372036853727232ull }));
    assert_ok(params(s, false, { .param = MIG_PARAM_TLS_HOSTNAME, .str = "there" }));
    g_assert_cmpstr(mig_settings_get(s)->tls_hostname, ==, "there");
    assert_ok(params(s, false, { .param = MIG_PARAM_TLS_HOSTNAME, .str = NULL }));
    g_assert_cmpstr(mig_settings_get(s)->tls_hostname, ==, "");
}

static void test_running(void)
{
    g_autoptr(MigSettings) s = mig_settings_new();

    assert_ok(params(s, true, { .param = MIG_PARAM_MAX_BANDWIDTH, .num = 1 },
                     { .param = MIG_PARAM_DOWNTIME_LIMIT, .num = 2 },
                     { .param = MIG_PARAM_MAX_POSTCOPY_BANDWIDTH, .num = 3 },
                     { .param = MIG_PARAM_AVAIL_SWITCHOVER_BANDWIDTH, .num = 4 }));
    g_assert_cmpuint(mig_settings_get(s)->max_postcopy_bandwidth, ==, 3);
    /* The same value is no change. */
    assert_ok(params(s, true, { .param = MIG_PARAM_MULTIFD_CHANNELS, .num = 2 }));
    assert_refused(params(s, true, { .param = MIG_PARAM_MULTIFD_CHANNELS, .num = 4 }),
                   "in progress: parameter 'multifd-channels'");
    assert_refused(params(s, true, { .param = MIG_PARAM_TLS_HOSTNAME, .str = "x" }),
                   "tls-hostname");
}

static void test_freeze(void)
{
    g_autoptr(MigSettings) s = mig_settings_new();
    const MigConfig *c;

    assert_ok(params(s, false, { .param = MIG_PARAM_TLS_HOSTNAME, .str = "one" }));
    c = mig_config_freeze(s);
    assert_ok(params(s, false, { .param = MIG_PARAM_TLS_HOSTNAME, .str = "two" },
                     { .param = MIG_PARAM_DOWNTIME_LIMIT, .num = 1 }));
    assert_ok(caps(s, false, { MIG_CAP_EVENTS, true }));
    g_assert_cmpstr(c->tls_hostname, ==, "one");
    g_assert_cmpuint(c->downtime_limit, ==, 300);
    g_assert_false(c->cap[MIG_CAP_EVENTS]);
    mig_config_free(c);
}

static char *parse(MigSettings *s, const char *name, const char *text, bool hmp)
{
    g_autoptr(Error) err = NULL;
    MigParamChange change;
    MigParam p;

    g_assert_true(mig_param_from_name(name, &p));
    if (mig_param_parse(p, text, hmp, &change, &err)) {
        mig_settings_set_params(s, &change, 1, false, &err);
    }
    return err ? g_strdup(err->message) : NULL;
}

static void test_parse(void)
{
    g_autoptr(MigSettings) s = mig_settings_new();
    const MigConfig *c = mig_settings_get(s);

    assert_ok(parse(s, "max-bandwidth", "10", true));
    g_assert_cmpuint(c->max_bandwidth, ==, 10 * MiB);
    assert_ok(parse(s, "max-bandwidth", "10", false));
    g_assert_cmpuint(c->max_bandwidth, ==, 10);
    assert_ok(parse(s, "max-bandwidth", "2G", true));
    g_assert_cmpuint(c->max_bandwidth, ==, 2 * GiB);
    assert_ok(parse(s, "max-postcopy-bandwidth", "10", true));
    g_assert_cmpuint(c->max_postcopy_bandwidth, ==, 10);
    assert_ok(parse(s, "downtime-limit", "77", true));
    g_assert_cmpuint(c->downtime_limit, ==, 77);
    assert_ok(parse(s, "cpu-throttle-tailslow", "on", true));
    g_assert_cmpuint(c->cpu_throttle_tailslow, ==, 1);
    assert_ok(parse(s, "zero-page-detection", "none", true));
    g_assert_cmpstr(mig_param_enum_name(MIG_PARAM_ZERO_PAGE_DETECTION, c->zero_page_detection),
                    ==, "none");
    assert_refused(parse(s, "zero-page-detection", "often", true), "none, legacy, multifd");
    assert_refused(parse(s, "downtime-limit", "2s", true), "must be a number");
    assert_refused(parse(s, "max-bandwidth", "fast", true), "must be a size");
    assert_refused(parse(s, "direct-io", "2", true), "must be a bool");
    assert_refused(parse(s, "cpr-exec-command", "x", true), "only be set with QMP");
}

static char *global(MigSettings *s, const char *prop, const char *value)
{
    g_autoptr(Error) err = NULL;

    mig_settings_set_global(s, prop, value, &err);
    return err ? g_strdup(err->message) : NULL;
}

static void test_globals(void)
{
    g_autoptr(MigSettings) s = mig_settings_new();
    const MigConfig *c = mig_settings_get(s);

    g_assert_cmpuint(c->send_configuration, ==, 1);
    g_assert_cmpuint(c->send_section_footer, ==, 1);
    g_assert_cmpuint(c->store_global_state, ==, 1);
    g_assert_cmpuint(c->send_switchover_start, ==, 0);
    assert_ok(global(s, "send-switchover-start", "on"));
    g_assert_cmpuint(c->send_switchover_start, ==, 1);
    assert_ok(global(s, "x-postcopy-ram", "on"));
    g_assert_true(c->cap[MIG_CAP_POSTCOPY_RAM]);
    assert_ok(global(s, "x-max-bandwidth", "1M"));
    g_assert_cmpuint(c->max_bandwidth, ==, MiB);
    assert_ok(global(s, "x-clear-bitmap-shift", "20"));
    g_assert_cmpuint(c->clear_bitmap_shift, ==, 20);
    assert_refused(global(s, "x-clear-bitmap-shift", "5"), "from 6 to 31");
    assert_refused(global(s, "send-section-footer", "often"), "on or off");
    assert_refused(global(s, "x-colo", "on"), "'x-colo' is not supported");
    assert_refused(global(s, "x-multifd", "1x"), "on or off");
    assert_refused(global(s, "colour", "red"), "no property 'colour'");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mig-config/capabilities", test_capabilities);
    g_test_add_func("/mig-config/all-or-nothing", test_all_or_nothing);
    g_test_add_func("/mig-config/conflicts", test_conflicts);
    g_test_add_func("/mig-config/hooks", test_hooks);
    g_test_add_func("/mig-config/ranges", test_ranges);
    g_test_add_func("/mig-config/special", test_special);
    g_test_add_func("/mig-config/running", test_running);
    g_test_add_func("/mig-config/freeze", test_freeze);
    g_test_add_func("/mig-config/parse", test_parse);
    g_test_add_func("/mig-config/globals", test_globals);
    return g_test_run();
}
