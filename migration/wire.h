/*
 * Every number of the migration wire, one X-macro table a vocabulary, and the
 * encoding and decoding of what they frame.
 *
 * Pure: no IO, no state, any thread.  All integers on the wire are big-endian.
 * The values are frozen: other programs have them too.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_WIRE_H
#define FERRY_MIGRATION_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/error.h"

/* The first eight bytes of a stream. */
#define WIRE_FILE_MAGIC 0x5145564dU   /* "QEVM" */
#define WIRE_FILE_VERSION 3U
#define WIRE_FILE_VERSION_OBSOLETE 2U /* recognised, refused */
#define WIRE_FILE_HEADER_LEN 8

/* First byte of an element.                X(id, value, name) */
#define WIRE_ELEMENTS(X)                    \
    X(EOF, 0x00, "EOF")                     \
    X(SECTION_START, 0x01, "SECTION_START") \
    X(SECTION_PART, 0x02, "SECTION_PART")   \
    X(SECTION_END, 0x03, "SECTION_END")     \
    X(SECTION_FULL, 0x04, "SECTION_FULL")   \
    X(SUBSECTION, 0x05, "SUBSECTION")       \
    X(VMDESCRIPTION, 0x06, "VMDESCRIPTION") \
    X(CONFIGURATION, 0x07, "CONFIGURATION") \
    X(COMMAND, 0x08, "COMMAND")             \
    X(FOOTER, 0x7e, "SECTION_FOOTER")

typedef enum WireElement {
#define X(id, value, name) WIRE_##id = (value),
    WIRE_ELEMENTS(X)
#undef X
} WireElement;

/* Payload length of a message: a fixed number of bytes, or one of these. */
#define WIRE_LEN_ANY (-1)     /* the handler checks it */
#define WIRE_LEN_RETIRED (-2) /* recognised number, refused as no longer supported */

/* Commands, source to destination.         X(id, value, name, payload length) */
#define WIRE_COMMANDS(X)                                              \
    X(OPEN_RETURN_PATH, 1, "OPEN_RETURN_PATH", 0)                     \
    X(PING, 2, "PING", 4)                                             \
    X(POSTCOPY_ADVISE, 3, "POSTCOPY_ADVISE", WIRE_LEN_ANY) /* 0, 16 */ \
    X(POSTCOPY_LISTEN, 4, "POSTCOPY_LISTEN", 0)                       \
    X(POSTCOPY_RUN, 5, "POSTCOPY_RUN", 0)                             \
    X(POSTCOPY_RAM_DISCARD, 6, "POSTCOPY_RAM_DISCARD", WIRE_LEN_ANY)  \
    X(PACKAGED, 7, "PACKAGED", 4)                                     \
    X(ENABLE_COLO, 8, "ENABLE_COLO", WIRE_LEN_RETIRED)                \
    X(POSTCOPY_RESUME, 9, "POSTCOPY_RESUME", 0)                       \
    X(RECV_BITMAP, 10, "RECV_BITMAP", WIRE_LEN_ANY)                   \
    X(SWITCHOVER_START, 11, "SWITCHOVER_START", 0)                    \
    X(FERRY_VERIFY, 255, "FERRY_VERIFY", WIRE_LEN_ANY) /* to whom PING VERIFY is known */

typedef enum WireCommand {
    WIRE_CMD_INVALID = 0, /* never sent */
#define X(id, value, name, len) WIRE_CMD_##id = (value),
    WIRE_COMMANDS(X)
#undef X
    WIRE_CMD__MAX,
} WireCommand;

/* Messages on the return path, destination to source. */
#define WIRE_RP_MESSAGES(X)                                \
    X(SHUT, 1, "SHUT", 4)                                  \
    X(PONG, 2, "PONG", 4)                                  \
    X(REQ_PAGES_ID, 3, "REQ_PAGES_ID", WIRE_LEN_ANY)       \
    X(REQ_PAGES, 4, "REQ_PAGES", 12)                       \
    X(RECV_BITMAP, 5, "RECV_BITMAP", WIRE_LEN_ANY)         \
    X(RESUME_ACK, 6, "RESUME_ACK", 4)                      \
    X(SWITCHOVER_ACK, 7, "SWITCHOVER_ACK", 0)

typedef enum WireRpMessage {
    WIRE_RP_INVALID = 0,
#define X(id, value, name, len) WIRE_RP_##id = (value),
    WIRE_RP_MESSAGES(X)
#undef X
    WIRE_RP__MAX,
} WireRpMessage;

#define WIRE_RP_HEADER_LEN 4
#define WIRE_RP_MAX_PAYLOAD 512
#define WIRE_RESUME_ACK_VALUE 1U
#define WIRE_RECV_BITMAP_END 0x0123456789abcdefULL

/* Cookies of PING/PONG.                    X(id, value, where) */
#define WIRE_PING_COOKIES(X)                                        \
    X(OPENED, 1, "after OPEN_RETURN_PATH")                          \
    X(BEFORE_PACKAGE, 2, "before PACKAGED")                         \
    X(IN_PACKAGE, 3, "inside PACKAGED, devices are loaded")         \
    X(AFTER_PACKAGE, 4, "after PACKAGED, the listen thread reads")  \
    X(DEVICES_LOADED, 0x42, "inside PACKAGED: postcopy-device ends")    \
    X(ALL_LOADED, 0x43, "precopy, before EOF: the answer says that the rest is loaded")   \
    X(MARKS, 0x4d00, "before `ram`: which marks of multifd?  Ferry's own")       \
    X(MARKS_KNOWN, 0x4d01, "only PONG, Ferry's answer to it: MULTIFD_FLUSH")     \
    X(VERIFY, 0x5600, "before `ram`: compares digests?  Ferry's own")               \
    X(VERIFY_KNOWN, 0x5601, "only PONG, Ferry's answer to it")                      \
    X(VERIFY_GOOD, 0x5602, "only PONG: it has what was sent")                       \
    X(VERIFY_BAD, 0x5603, "only PONG: it has not")                                  \
    X(MARKS_ROUND, 0x4d10, "plus the round, behind an EOS without a mark")   \
    X(ATTEMPT, 0x41000000, "plus part 0 to 3 << 24 and 24 bits: identity; Ferry's own") \
    X(ATTEMPT_TAKEN, 0xc1000000, "only PONG, Ferry's answer to it: taken")

typedef enum WirePingCookie {
#define X(id, value, where) WIRE_PING_##id = (value),
    WIRE_PING_COOKIES(X)
#undef X
} WirePingCookie;

#define WIRE_PING_ATTEMPT_SHIFT 24

/* Flags in the low bits of a RAM record word.  X(id, value, name, retired) */
#define WIRE_RAM_FLAGS(X)                            \
    X(FULL, 0x001, "FULL", true)                     \
    X(ZERO, 0x002, "ZERO", false)                    \
    X(MEM_SIZE, 0x004, "MEM_SIZE", false)            \
    X(PAGE, 0x008, "PAGE", false)                    \
    X(EOS, 0x010, "EOS", false)                      \
    X(CONTINUE, 0x020, "CONTINUE", false)            \
    X(XBZRLE, 0x040, "XBZRLE", false)                \
    X(HOOK, 0x080, "HOOK", true)                     \
    X(COMPRESS_PAGE, 0x100, "COMPRESS_PAGE", true)   \
    X(MULTIFD_FLUSH, 0x200, "MULTIFD_FLUSH", false)

enum {
#define X(id, value, name, retired) WIRE_RAM_##id = (value),
    WIRE_RAM_FLAGS(X)
#undef X
};
#define WIRE_RAM_FLAG_MASK 0xfffULL
#define WIRE_RAM_IDSTR "ram"
#define WIRE_RAM_VERSION 4
#define WIRE_XBZRLE_ENCODING 1

/* mapped-ram: a header behind each entry of the block list, and where pages begin in the file. */
#define WIRE_MAPPED_HEADER_LEN 28
#define WIRE_MAPPED_VERSION 1
#define WIRE_MAPPED_ALIGN 0x100000ULL
#define WIRE_MAPPED_PAGE_SIZE 4096

/* multifd. */
#define WIRE_MULTIFD_MAGIC 0x11223344U
#define WIRE_MULTIFD_VERSION 1U
#define WIRE_MULTIFD_FLAGS(X)    \
    X(SYNC, 0x01, "SYNC")        \
    X(ZLIB, 0x02, "ZLIB")        \
    X(ZSTD, 0x04, "ZSTD")        \
    X(QPL, 0x08, "QPL")          \
    X(UADK, 0x10, "UADK")        \
    X(QATZIP, 0x20, "QATZIP")    \
    X(DEVICE_STATE, 0x40, "DEVICE_STATE")
enum {
#define X(id, value, name) WIRE_MULTIFD_##id = (value),
    WIRE_MULTIFD_FLAGS(X)
#undef X
};
#define WIRE_MULTIFD_COMPRESSION_MASK 0x3e

/* Limits that follow from the formats. */
#define WIRE_STR8_MAX 255
#define WIRE_DISCARD_VERSION 0
#define WIRE_DISCARD_MAX_RANGES 12       /* what Ferry puts into one command; readers take more */
#define WIRE_COMMAND_HEADER_LEN 5        /* 0x08, u16 command, u16 length */
#define WIRE_COMMAND_MAX_PAYLOAD 65535
#define WIRE_PACKAGED_MAX (1ULL << 30)   /* Ferry refuses a larger device state */

/* Names for messages; never NULL ("unknown"). */
const char *wire_element_name(unsigned element);
const char *wire_command_name(unsigned command);
const char *wire_rp_name(unsigned message);
/* "ZERO|CONTINUE"; unknown bits in hexadecimal.  Free with g_free(). */
char *wire_ram_flags_str(unsigned flags);

/* Big-endian at p. */
static inline void wire_put_be16(uint8_t *p, uint16_t v)
{
    p[0] = v >> 8;
    p[1] = v;
}
static inline void wire_put_be32(uint8_t *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    __builtin_memcpy(p, &v, 4);
}
static inline void wire_put_be64(uint8_t *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    __builtin_memcpy(p, &v, 8);
}
static inline uint16_t wire_get_be16(const uint8_t *p)
{
    return p[0] << 8 | p[1];
}
static inline uint32_t wire_get_be32(const uint8_t *p)
{
    uint32_t v;
    __builtin_memcpy(&v, p, 4);
    return __builtin_bswap32(v);
}
static inline uint64_t wire_get_be64(const uint8_t *p)
{
    uint64_t v;
    __builtin_memcpy(&v, p, 8);
    return __builtin_bswap64(v);
}

/* File header. */
void wire_file_header_encode(uint8_t ret_buf[WIRE_FILE_HEADER_LEN]);
bool wire_file_header_check(const uint8_t buf[WIRE_FILE_HEADER_LEN], Error **errp);

/* Is the payload length legal for the command / message?  Unknown and retired numbers fail. */
bool wire_command_check(unsigned command, unsigned len, Error **errp);
bool wire_rp_check(unsigned message, unsigned len, Error **errp);
void wire_command_header_encode(uint8_t ret_buf[WIRE_COMMAND_HEADER_LEN], WireCommand command,
                                uint16_t len);

/* POSTCOPY_ADVISE: with_ram false is the empty form. */
typedef struct WireAdvise {
    bool with_ram;
    uint64_t page_size_summary; /* OR of the page sizes of all RAM blocks */
    uint64_t target_page_size;
} WireAdvise;
size_t wire_advise_encode(uint8_t ret_buf[16], const WireAdvise *a);
bool wire_advise_decode(const uint8_t *buf, size_t len, WireAdvise *ret_a, Error **errp);

/* POSTCOPY_RAM_DISCARD: byte ranges of one block. */
typedef struct WireRange {
    uint64_t start, length;
} WireRange;
#define WIRE_DISCARD_BUF (1 + 1 + WIRE_STR8_MAX + 1 + 16 * WIRE_DISCARD_MAX_RANGES)
/* n in 1..WIRE_DISCARD_MAX_RANGES; returns the payload length. */
size_t wire_discard_encode(uint8_t ret_buf[WIRE_DISCARD_BUF], const char *block,
                           const WireRange *ranges, size_t n);
/*
 * Checks the framing (version, name, NUL, whole ranges, at least one) and returns the
 * number of ranges, 0 with errp set when it is wrong.  wire_discard_range() then reads
 * them; block bounds and alignment are the caller's to check.
 */
size_t wire_discard_decode(const uint8_t *buf, size_t len, char ret_block[256], Error **errp);
WireRange wire_discard_range(const uint8_t *buf, size_t index);

/* A name in a payload that holds nothing else (RECV_BITMAP both ways): str8, exactly len bytes. */
size_t wire_name_encode(uint8_t ret_buf[256], const char *name);
bool wire_name_decode(const uint8_t *buf, size_t len, char ret_name[256], Error **errp);

/* Return path: a whole message, header included.  All return its length. */
#define WIRE_RP_BUF (WIRE_RP_HEADER_LEN + WIRE_RP_MAX_PAYLOAD)
size_t wire_rp_u32_encode(uint8_t ret_buf[WIRE_RP_BUF], WireRpMessage message, uint32_t value);
/* block NULL: REQ_PAGES, the block named last. */
size_t wire_rp_req_pages_encode(uint8_t ret_buf[WIRE_RP_BUF], const char *block, uint64_t start,
                                uint32_t len);
size_t wire_rp_name_encode(uint8_t ret_buf[WIRE_RP_BUF], WireRpMessage message, const char *name);

typedef struct WireReqPages {
    bool has_block;
    char block[256];
    uint64_t start;
    uint32_t len; /* bytes */
} WireReqPages;
/* Payload of REQ_PAGES (12 bytes) or REQ_PAGES_ID; len 0 and wrap-around are refused. */
bool wire_rp_req_pages_decode(WireRpMessage message, const uint8_t *payload, size_t len,
                              WireReqPages *ret_req, Error **errp);

/* RECV_BITMAP answer: bytes of the bitmap of `pages` target pages. */
static inline uint64_t wire_recv_bitmap_bytes(uint64_t pages)
{
    return ((pages + 7) / 8 + 7) & ~7ULL;
}

/*
 * mapped-ram: where a block's bitmap and pages are, as positions in the file; both 0: the block
 * is not in it.  The bitmap has little-endian words of 64 bits, 1: the page is in the file.
 */
typedef struct WireMapped {
    uint64_t bitmap_offset, pages_offset;
} WireMapped;
static inline uint64_t wire_mapped_bitmap_bytes(uint64_t pages)
{
    return (pages + 63) / 64 * 8;
}
/* For a block of so many target pages whose header begins at position at of the file. */
WireMapped wire_mapped_layout(uint64_t at, uint64_t pages);
void wire_mapped_encode(uint8_t ret_buf[WIRE_MAPPED_HEADER_LEN], const WireMapped *h);
/* Version and page size; what the positions mean is the caller's to check. */
bool wire_mapped_decode(const uint8_t buf[WIRE_MAPPED_HEADER_LEN], WireMapped *ret_h, Error **errp);

/*
 * RAM record word: position in the upper bits, flags in the lower twelve.
 * wire_ram_word_check() refuses unknown bits, retired forms and combinations that
 * are no record; postcopy allows ZERO, PAGE and EOS only.
 */
static inline uint64_t wire_ram_word(uint64_t offset, unsigned flags)
{
    return offset | flags;
}
static inline uint64_t wire_ram_offset(uint64_t word)
{
    return word & ~WIRE_RAM_FLAG_MASK;
}
static inline unsigned wire_ram_flags(uint64_t word)
{
    return word & WIRE_RAM_FLAG_MASK;
}
bool wire_ram_word_check(uint64_t word, bool postcopy, Error **errp);
/* Does a str8 block name follow this word? */
static inline bool wire_ram_has_name(unsigned flags)
{
    return (flags & (WIRE_RAM_ZERO | WIRE_RAM_PAGE | WIRE_RAM_XBZRLE)) &&
           !(flags & WIRE_RAM_CONTINUE);
}

#endif
