/*
 * Unit tests of the return path: the bytes that the destination sends, and what the
 * source's thread makes of good, bad and cut ones.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "migration/config.h"
#include "migration/ram.h"
#include "migration/return-path.h"
#include "migration/state.h"
#include "migration/wire.h"
#include "system/machine-lock.h"
#include "util/util.h"

#define PAGE TARGET_PAGE_SIZE

static void assert_sent(IOChannel *ioc, const char *hex)
{
    g_autoptr(GString) got = g_string_new(NULL);
    size_t len;
    const uint8_t *p = io_channel_buffer_data(ioc, &len);

    for (size_t i = 0; i < len; i++) {
        g_string_append_printf(got, "%02x", p[i]);
    }
    g_assert_cmpstr(got->str, ==, hex);
}

static void test_messages(void)
{
    g_autoptr(IOChannel) ioc = io_channel_buffer_new(NULL, 0);
    g_autoptr(ReturnPathSend) rps = return_path_send_new(ioc);

    g_assert_true(return_path_send_pong(rps, 0x42, NULL));
    g_assert_true(return_path_send_shut(rps, 1, NULL));
    assert_sent(ioc, "0002000400000042"
                     "0001000400000001");
}

/* The name goes along with the first request, when it changes, and after a forget. */
static void test_requests(void)
{
    g_autoptr(IOChannel) ioc = io_channel_buffer_new(NULL, 0);
    g_autoptr(ReturnPathSend) rps = return_path_send_new(ioc);

    g_assert_true(return_path_send_req_pages(rps, "ram", 0x1000, 0x1000, NULL));
    g_assert_true(return_path_send_req_pages(rps, "ram", 0x123456000, 0x200000, NULL));
    g_assert_true(return_path_send_req_pages(rps, "rom", 0, 0x1000, NULL));
    g_assert_true(return_path_send_req_pages(rps, "rom", 0x1000, 0x1000, NULL));
    return_path_send_forget_block(rps);
    g_assert_true(return_path_send_req_pages(rps, "rom", 0x2000, 0x1000, NULL));
    assert_sent(ioc, "00030010"
                     "0000000000001000"
                     "00001000"
                     "0372616d"
                     "0004000c"
                     "0000000123456000"
                     "00200000"
                     "00030010"
                     "0000000000000000"
                     "00001000"
                     "03726f6d"
                     "0004000c"
                     "0000000000001000"
                     "00001000"
                     "00030010"
                     "0000000000002000"
                     "00001000"
                     "03726f6d");
}

/* Bits of 70 pages are two words; what lies behind them is not sent. */
static void test_recovery_messages(void)
{
    g_autoptr(IOChannel) ioc = io_channel_buffer_new(NULL, 0), other = io_channel_buffer_new(NULL, 0);
    g_autoptr(ReturnPathSend) rps = return_path_send_new(ioc);
    unsigned long received[2] = { 0x8000000000000003UL, ~0UL };

    return_path_send_detach(rps);
    g_assert_false(return_path_send_pong(rps, 1, NULL));
    g_assert_true(return_path_send_req_pages(rps, "ram", 0x1000, 0x1000, NULL));
    return_path_send_attach(rps, other);
    g_assert_true(return_path_send_req_pages(rps, "ram", 0x1000, 0x1000, NULL));
    g_assert_true(return_path_send_recv_bitmap(rps, "ram", received, 70, NULL));
    g_assert_true(return_path_send_recv_bitmap(rps, "no", received, 0, NULL));
    g_assert_true(return_path_send_resume_ack(rps, NULL));
    return_path_send_release(rps);
    g_assert_true(return_path_send_req_pages(rps, "ram", 0x1000, 0x1000, NULL));
    assert_sent(ioc, "");
    assert_sent(other, "000500040372616d"
                       "0000000000000010"
                       "0300000000000080"
                       "3f00000000000000"
                       "0123456789abcdef"
                       "00050003026e6f"
                       "0000000000000000"
                       "0123456789abcdef"
                       "0006000400000001"
                       "0003001000000000000010000000"
                       "10000372616d");
}

/* A message that cannot be sent shuts the channel down and is remembered until there is another. */
static void test_broken(void)
{
    g_autoptr(Error) err = NULL, why = NULL;
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    g_autoptr(IOChannel) ioc = io_channel_fd_new(fds[0], NULL);
    g_autoptr(ReturnPathSend) rps = return_path_send_new(ioc);
    g_assert_null(return_path_send_failure(rps));
    close(fds[1]);
    g_assert_false(return_path_send_pong(rps, 1, &err));
    why = return_path_send_failure(rps);
    g_assert_cmpstr(why->message, ==, err->message);
    g_assert_cmpint(g_atomic_int_get(&ioc->shut), !=, 0);
    return_path_send_detach(rps);
    g_assert_null(return_path_send_failure(rps));
}

/* ---- the source's end ---- */

typedef struct Source {
    Migration m;
    MigStateMachine state;
    RAMBlock *rb;
    int fd; /* the destination's end */
} Source;

static void source_set_up(Source *src, bool postcopy)
{
    static const RAMBlockOptions plain = { .fd = -1, .dump = true };
    static const MigState path[] = { MIG_STATE_NONE, MIG_STATE_SETUP, MIG_STATE_ACTIVE,
                                     MIG_STATE_DEVICE, MIG_STATE_POSTCOPY_DEVICE };
    static MigConfig config;
    int fds[2];

    *src = (Source){ 0 };
    mig_state_init(&src->state, MIG_SRC, NULL, NULL);
    for (unsigned i = 0; i + 1 < (postcopy ? ARRAY_SIZE(path) : 3); i++) {
        g_assert_true(state_advance(&src->state, path[i], path[i + 1]));
    }
    /* The source's side does not block in reads that it polls for. */
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    g_assert_true(fd_set_blocking(fds[0], false));
    src->fd = fds[1];
    src->m.source = true;
    src->m.config = &config;
    src->m.state = &src->state;
    src->m.channel = io_channel_fd_new(fds[0], NULL);
    g_mutex_init(&src->m.error_lock);
    machine_lock();
    src->rb = ramblock_new("ram", 64 * PAGE, &plain, NULL);
    src->m.ram = ram_source_new(src->m.config, true);
    machine_unlock();
}

static void source_tear_down(Source *src)
{
    return_path_free(src->m.return_path);
    if (src->fd >= 0) {
        close(src->fd);
    }
    io_channel_unref(src->m.channel);
    ram_source_free(src->m.ram);
    machine_lock();
    ramblock_free(src->rb);
    machine_unlock();
    g_mutex_clear(&src->m.error_lock);
    mig_state_clear(&src->state);
}

static void send_hex(Source *src, const char *hex)
{
    for (; *hex; hex += 2) {
        uint8_t byte = g_ascii_xdigit_value(hex[0]) << 4 | g_ascii_xdigit_value(hex[1]);
        g_assert_cmpint(write(src->fd, &byte, 1), ==, 1);
    }
}

/* A whole conversation: requests end in the queue, PONG 0x42 moves the state, SHUT 0 ends it. */
static void test_source(void)
{
    PageRun run;
    Source src;

    source_set_up(&src, true);
    src.m.return_path = return_path_start(&src.m, NULL);
    g_assert_false(return_path_ended(src.m.return_path, NULL));
    send_hex(&src, "0002000400000001" /* PONG 1 */
                   "00030010000000000000500000001000"
                   "0372616d" /* ram 0x5000 */
                   "0004000c000000000000200000001000" /* 0x2000 */);
    send_hex(&src, "0002000400000042");
    send_hex(&src, "0001000400000000");
    g_assert_true(return_path_join(src.m.return_path, NULL));
    g_assert_true(return_path_ended(src.m.return_path, NULL));
    g_assert_cmpint(mig_state_get(&src.state), ==, MIG_STATE_POSTCOPY_ACTIVE);
    g_assert_cmpuint(src.m.stats.postcopy_requests, ==, 2);
    g_assert_true(urgent_next(src.m.ram, &run));
    g_assert_cmpuint(run.page, ==, 5);
    g_assert_cmpuint(run.n, ==, 1);
    g_assert_true(run.urgent);
    g_assert_true(urgent_next(src.m.ram, &run));
    g_assert_cmpuint(run.page, ==, 2);
    g_assert_false(urgent_next(src.m.ram, &run));
    source_tear_down(&src);
}

static void wait_lent(Source *src)
{
    while (!return_path_lent(src->m.return_path)) {
        g_usleep(1000);
    }
}

/* The migration thread reads in place of the return-path thread, until it gives that back. */
static void test_lent(void)
{
    PageRun run;
    Source src;

    g_assert_false(return_path_lent(NULL));
    source_set_up(&src, true);
    src.m.return_path = return_path_start(&src.m, NULL);
    return_path_want(src.m.return_path);
    send_hex(&src, "0002000400000001");
    g_usleep(20000);
    g_assert_false(return_path_lent(src.m.return_path)); /* not before postcopy-active */
    send_hex(&src, "0002000400000042");
    wait_lent(&src);
    g_assert_cmpuint(return_path_serve(src.m.return_path, 0, 10), ==, 0);
    g_assert_cmpuint(return_path_serve(src.m.return_path, IO_READY_WRITE, -1), ==, IO_READY_WRITE);
    send_hex(&src, "00030010000000000000500000001000" "0372616d"
                   "0004000c000000000000200000001000");
    g_usleep(20000);
    g_assert_false(urgent_next(src.m.ram, &run)); /* nobody else reads */
    g_assert_cmpuint(return_path_serve(src.m.return_path, 0, -1), ==, IO_READY_READ);
    g_assert_true(urgent_next(src.m.ram, &run));
    g_assert_cmpuint(run.page, ==, 5);
    g_assert_false(urgent_next(src.m.ram, &run));
    return_path_give_back(src.m.return_path);
    g_assert_false(return_path_lent(src.m.return_path));
    send_hex(&src, "0001000400000000");
    g_assert_true(return_path_join(src.m.return_path, NULL));
    g_assert_true(urgent_next(src.m.ram, &run));
    g_assert_cmpuint(run.page, ==, 2);
    source_tear_down(&src);
}

/* A path that ends while it is lent, and one that is shut down: known as if the thread had read. */
static void test_lent_ends(void)
{
    for (int i = 0; i < 3; i++) {
        g_autoptr(Error) err = NULL;
        Source src;

        source_set_up(&src, true);
        src.m.return_path = return_path_start(&src.m, NULL);
        return_path_want(src.m.return_path);
        send_hex(&src, "0002000400000042");
        wait_lent(&src);
        if (i == 0) {
            close_fd(&src.fd);
        } else if (i == 1) {
            send_hex(&src, "0001000400000001");
        } else {
            io_channel_shutdown(src.m.channel, IO_SHUTDOWN_BOTH, NULL);
        }
        g_assert_cmpuint(return_path_serve(src.m.return_path, 0, -1), ==, IO_READY_READ);
        g_assert_false(return_path_lent(src.m.return_path));
        g_assert_true(return_path_ended(src.m.return_path, NULL));
        g_assert_false(return_path_join(src.m.return_path, &err));
        g_assert_nonnull(strstr(err->message, i == 0 ? "without SHUT" : i == 1 ? "load failed"
                                                                              : "shut down"));
        source_tear_down(&src);
    }
}

typedef struct BadCase {
    const char *hex, *message;
    bool precopy;
} BadCase;

static void check_refused(const BadCase *c)
{
    g_autoptr(Error) err = NULL, same = NULL;
    Source src;

    source_set_up(&src, !c->precopy);
    src.m.return_path = return_path_start(&src.m, NULL);
    send_hex(&src, c->hex);
    close_fd(&src.fd);
    g_assert_false(return_path_join(src.m.return_path, &err));
    g_assert_true(return_path_ended(src.m.return_path, &same));
    g_assert_cmpstr(err->message, ==, same->message);
    g_assert_true(g_str_has_prefix(err->message, "return path: "));
    if (!strstr(err->message, c->message)) {
        g_error("'%s' has no '%s' in it", err->message, c->message);
    }
    source_tear_down(&src);
}

/* A destination that asks for ever and takes nothing must not fill the source's memory. */
static void test_flood(void)
{
    static const uint8_t ask[] = { 0, 4, 0, 12, 0, 0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0x10, 0 };
    g_autoptr(Error) err = NULL;
    uint8_t many[1000 * sizeof(ask)];
    Source src;

    for (size_t i = 0; i < sizeof(many); i++) {
        many[i] = ask[i % sizeof(ask)];
    }
    source_set_up(&src, true);
    src.m.return_path = return_path_start(&src.m, NULL);
    send_hex(&src, "00030010000000000000500000001000" "0372616d");
    for (int i = 0; i < 70 && !return_path_ended(src.m.return_path, NULL); i++) {
        for (size_t done = 0, n = 0; done < sizeof(many) && (ssize_t)n >= 0; done += n) {
            n = send(src.fd, many + done, MIN(sizeof(many) - done, 4000), MSG_DONTWAIT);
            if ((ssize_t)n < 0 && !return_path_ended(src.m.return_path, NULL)) {
                g_usleep(500); /* it has much to read */
                n = 0;
            }
        }
    }
    close_fd(&src.fd);
    g_assert_false(return_path_join(src.m.return_path, &err));
    g_assert_nonnull(strstr(err->message, "does not take those that it gets"));
    g_assert_cmpuint(src.m.stats.postcopy_requests, ==, 65536);
    source_tear_down(&src);
}

static void test_refused(void)
{
    static const BadCase cases[] = {
        { "", "without SHUT", false },
        { "00", "", false },
        { "00020004000000", "PONG", false },
        { "0001000400000001", "load failed", false },
        { "0000000400000001", "", false },
        { "0008000400000001", "", false },
        { "00020005000000000000", "", false },
        { "00030201", "", false },
        { "0005000403616263", "not asked for", false },
        { "000500040372616d", "not asked for", false },
        { "0006000400000001", "in state 'postcopy-device'", false },
        { "00070000", "more often than it was asked for", false },
        /* requests */
        { "0004000c000000000000200000001000", "before any", false },
        { "0003001000000000000050000000100003726f6d", "'rom'", false },
        { "0003001000000000000050000000100004726f6d", "", false },
        { "0003001000000000000050010000100003"
          "72616d", "not made of pages", false },
        { "0003001000000000000050000000100103"
          "72616d", "not made of pages", false },
        { "0003001000000000000400000000100003"
          "72616d", "not made of pages", false },
        { "000300100000000000003f000000200003"
          "72616d", "not made of pages", false },
        { "00030010fffffffffffff0000000200003"
          "72616d", "", false },
        { "0003001000000000000050000000000003"
          "72616d", "", false },
        { "0003001000000000000050000000100003"
          "72616d", "not in postcopy", true },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        check_refused(&cases[i]);
    }
}

/* ---- recovery ---- */

static void source_to_recover(Source *src)
{
    static const MigState path[] = { MIG_STATE_POSTCOPY_DEVICE, MIG_STATE_POSTCOPY_ACTIVE,
                                     MIG_STATE_POSTCOPY_PAUSED, MIG_STATE_POSTCOPY_RECOVER_SETUP,
                                     MIG_STATE_POSTCOPY_RECOVER };

    source_set_up(src, true);
    for (unsigned i = 0; i + 1 < ARRAY_SIZE(path); i++) {
        g_assert_true(state_advance(&src->state, path[i], path[i + 1]));
    }
    src->m.return_path = return_path_start(&src->m, NULL);
}

#define BITMAP "000500040372616d"
#define MARK "0123456789abcdef"

static void test_recover(void)
{
    Source src;

    source_to_recover(&src);
    send_hex(&src, BITMAP "0000000000000008" "0500000000000080" MARK);
    while (!return_path_bitmaps(src.m.return_path)) {
        g_usleep(1000);
    }
    g_assert_cmphex(src.m.ram->blocks[0].received[0], ==, 0x8000000000000005UL);
    g_assert_false(return_path_resumed(src.m.return_path));
    send_hex(&src, "0006000400000001" "0001000400000000");
    g_assert_true(return_path_join(src.m.return_path, NULL));
    g_assert_true(return_path_resumed(src.m.return_path));
    source_tear_down(&src);
}

static void test_recover_refused(void)
{
    static const BadCase cases[] = {
        { BITMAP "0000000000000010" "0500000000000080", "64 pages make 8", false },
        { BITMAP "0000000000000007" "0500000000000080", "64 pages make 8", false },
        { BITMAP "ffffffffffffffff", "64 pages make 8", false },
        { BITMAP "0000000000000008" "0500000000000080" "0123456789abcdee", "mark", false },
        { BITMAP "0000000000000008" "0500", "ended", false },
        { BITMAP "0000000000000008" "0500000000000080" MARK BITMAP, "not asked for", false },
        { "0005000403726f6d" "0000000000000008", "'rom', which was not asked", false },
        { "000500040472616d", "", false },
        { "0006000400000002", "RESUME_ACK with 2", false },
        { "0006000400000000", "RESUME_ACK with 0", false },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        g_autoptr(Error) err = NULL;
        Source src;

        source_to_recover(&src);
        send_hex(&src, cases[i].hex);
        close_fd(&src.fd);
        g_assert_false(return_path_join(src.m.return_path, &err));
        if (!strstr(err->message, cases[i].message)) {
            g_error("'%s' has no '%s' in it", err->message, cases[i].message);
        }
        source_tear_down(&src);
    }
}

/* Shutting the channel down ends the thread, wherever it waits. */
static void test_shutdown(void)
{
    Source src;

    source_set_up(&src, true);
    src.m.return_path = return_path_start(&src.m, NULL);
    send_hex(&src, "000200040000");
    g_usleep(20000);
    g_assert_false(return_path_ended(src.m.return_path, NULL));
    io_channel_shutdown(src.m.channel, IO_SHUTDOWN_BOTH, NULL);
    g_assert_false(return_path_join(src.m.return_path, NULL));
    source_tear_down(&src);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/return-path/messages", test_messages);
    g_test_add_func("/return-path/requests", test_requests);
    g_test_add_func("/return-path/source", test_source);
    g_test_add_func("/return-path/lent", test_lent);
    g_test_add_func("/return-path/lent-ends", test_lent_ends);
    g_test_add_func("/return-path/refused", test_refused);
    g_test_add_func("/return-path/flood", test_flood);
    g_test_add_func("/return-path/recovery-messages", test_recovery_messages);
    g_test_add_func("/return-path/broken", test_broken);
    g_test_add_func("/return-path/recover", test_recover);
    g_test_add_func("/return-path/recover-refused", test_recover_refused);
    g_test_add_func("/return-path/shutdown", test_shutdown);
    return g_test_run();
}
