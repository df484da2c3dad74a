/*
 * Unit tests of the return path: the bytes that the destination sends.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "migration/return-path.h"

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

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/return-path/messages", test_messages);
    g_test_add_func("/return-path/requests", test_requests);
    return g_test_run();
}
