/*
 * Telnet as a serial line: commands are taken out of the bytes.  Belongs to no thread.
 *
 * Facts: RFC 854 (commands, 255 doubled), 856 (binary), 857 (echo), 858 (no go-ahead).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "chardev/layer.h"

enum {
    TELNET_SE = 240,
    TELNET_BREAK = 243,
    TELNET_SB = 250,
    TELNET_WILL = 251,
    TELNET_WONT = 252,
    TELNET_DO = 253,
    TELNET_DONT = 254,
    TELNET_IAC = 255,

    OPTION_BINARY = 0,
    OPTION_ECHO = 1,
    OPTION_NO_GO_AHEAD = 3,
};

typedef enum TelnetState {
    TELNET_DATA,
    TELNET_COMMAND,      /* behind 255 */
    TELNET_OPTION,       /* behind WILL and its like: the option's number */
    TELNET_SUB,          /* inside of a subnegotiation, which is skipped */
    TELNET_SUB_COMMAND,
} TelnetState;

typedef struct Telnet {
    Codec base;
    TelnetState state; /* decode only */
} Telnet;

/* Characters as they are typed, eight bits, echoed by us: once, what comes back is ignored. */
static void telnet_greet(Codec *c, GByteArray *wire)
{
    static const uint8_t hello[] = {
        TELNET_IAC, TELNET_WILL, OPTION_ECHO,   TELNET_IAC, TELNET_WILL, OPTION_NO_GO_AHEAD,
        TELNET_IAC, TELNET_WILL, OPTION_BINARY, TELNET_IAC, TELNET_DO,   OPTION_BINARY,
    };

    g_byte_array_append(wire, hello, sizeof(hello));
    c->ready = true;
}

static TelnetState after_command(Telnet *t, uint8_t byte, GByteArray *plain)
{
    switch (byte) {
    case TELNET_IAC:
        g_byte_array_append(plain, &byte, 1);
        return TELNET_DATA;
    case TELNET_SB:
        return TELNET_SUB;
    case TELNET_WILL:
    case TELNET_WONT:
    case TELNET_DO:
    case TELNET_DONT:
        return TELNET_OPTION;
    case TELNET_BREAK:
        t->base.breaks++;
        return TELNET_DATA;
    default:
        return TELNET_DATA;
    }
}

static bool telnet_decode(Codec *c, const uint8_t *buf, size_t len, GByteArray *plain,
                          GByteArray *answer, Error **errp)
{
    Telnet *t = (Telnet *)c;

    for (size_t i = 0; i < len; i++) {
        switch (t->state) {
        case TELNET_DATA:
            if (buf[i] == TELNET_IAC) {
                t->state = TELNET_COMMAND;
            } else {
                g_byte_array_append(plain, &buf[i], 1);
            }
            break;
        case TELNET_COMMAND:
            t->state = after_command(t, buf[i], plain);
            break;
        case TELNET_OPTION:
            t->state = TELNET_DATA;
            break;
        case TELNET_SUB:
            t->state = buf[i] == TELNET_IAC ? TELNET_SUB_COMMAND : TELNET_SUB;
            break;
        case TELNET_SUB_COMMAND:
            t->state = buf[i] == TELNET_SE ? TELNET_DATA : TELNET_SUB;
            break;
        }
    }
    return true;
}

static void telnet_encode(Codec *c, const uint8_t *buf, size_t len, GByteArray *wire)
{
    for (size_t i = 0; i < len; i++) {
        g_byte_array_append(wire, &buf[i], 1);
        if (buf[i] == TELNET_IAC) {
            g_byte_array_append(wire, &buf[i], 1);
        }
    }
}

const CodecClass codec_telnet = {
    .size = sizeof(Telnet),
    .greet = telnet_greet,
    .decode = telnet_decode,
    .encode = telnet_encode,
};
