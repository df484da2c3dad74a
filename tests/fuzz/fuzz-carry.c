/*
 * Fuzz target: a file that carries the rest of a postcopy, or a received map, as it is opened and
 * read.  The first byte says whether its digests are made right first (1), which nothing would get
 * past otherwise, and which kind is wanted (2: a received map).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "migration/carry/file.h"
#include "migration/wire.h"
#include "system/ramblock.h"
#include "util/log.h"
#include "util/util.h"

#define RAM_SIZE (1 * MiB)
/* Where the header has them. */
#define AT_TABLES_LEN 72
#define AT_TABLES_DIGEST 96
#define AT_DIGEST 128

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    log_set_file("/dev/null");
    return 0;
}

static void digest(const uint8_t *data, size_t len, uint8_t *ret)
{
    const struct iovec iov = { (void *)data, len };

    carry_digest(&iov, 1, ret);
}

static void mend(uint8_t *data, size_t len)
{
    uint64_t tables;

    if (len < CARRY_HEADER_LEN) {
        return;
    }
    tables = wire_get_be64(data + AT_TABLES_LEN);
    if (tables <= len - CARRY_HEADER_LEN) {
        digest(data + CARRY_HEADER_LEN, tables, data + AT_TABLES_DIGEST);
    }
    digest(data, AT_DIGEST, data + AT_DIGEST);
}

static void read_chunks(const CarryFile *f)
{
    g_autofree uint8_t *pages = g_malloc(CARRY_CHUNK_BYTES);

    for (uint64_t i = 0; i < carry_file_head(f)->n_chunks; i++) {
        CarryChunk c = carry_file_chunk(f, i);
        g_autoptr(Error) err = NULL;
        uint64_t at;

        g_assert(c.block == 0 && c.index < RAM_SIZE / CARRY_CHUNK_BYTES);
        g_assert(carry_file_find(f, c.block, c.index, &at) && at == i);
        g_assert(carry_file_read(f, &c, pages, &err) == !err);
    }
}

static void read_map(const CarryFile *f)
{
    const uint8_t *map = carry_file_bitmap(f, 0);
    unsigned sum = 0;

    for (unsigned i = 0; i < RAM_SIZE / TARGET_PAGE_SIZE / 8; i++) {
        sum += map[i];
    }
    g_assert(sum <= 32 * 255);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t attempt[CARRY_ATTEMPT_LEN] = "attempt one.", none[16];
    FuzzInput in = { data, size };
    uint8_t how = fuzz_take_u8(&in);
    g_autofree uint8_t *copy = g_memdup2(in.data, in.len);
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    g_autofree char *uri = g_strdup_printf("file:/proc/self/fd/%d", fd);
    g_autoptr(MigrateAddress) a = migrate_address_parse(uri, NULL);
    CarryGuest *g = carry_guest_new(attempt, none, "none", 1);
    CarryKind kind = how & 2 ? CARRY_RECEIVED : CARRY_REST;
    g_autoptr(CarryFile) f = NULL;
    g_autoptr(Error) err = NULL;

    carry_guest_set_block(g, 0, "ram", RAM_SIZE, TARGET_PAGE_SIZE);
    if (how & 1) {
        mend(copy, in.len);
    }
    g_assert(fd >= 0 && write(fd, copy, in.len) == (ssize_t)in.len);
    f = carry_file_open(a, kind, g, &err);
    g_assert(!f == (err != NULL));
    if (f && kind == CARRY_REST) {
        read_chunks(f);
    } else if (f) {
        read_map(f);
    }
    close(fd);
    return 0;
}
