/*
 * certificates FOLDER NAME...: FOLDER/NAME/ with the certificate of an authority, and keys and
 * certificates of host NAME as server and as client, all of the same authority.
 *
 * Its own main thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include <glib/gstdio.h>

#include "tests/tls-files.h"

int main(int argc, char **argv)
{
    TlsCa *ca = tls_ca_new();

    for (int i = 2; i < argc; i++) {
        g_autofree char *dir = g_build_filename(argv[1], argv[i], NULL);
        const TlsIdentity id = { .name = argv[i], .dns = argv[i] };

        g_assert_cmpint(g_mkdir_with_parents(dir, 0700), ==, 0);
        tls_write_x509(dir, ca, &id, &id);
    }
    tls_ca_free(ca);
    return 0;
}
