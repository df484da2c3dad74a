/*
 * 16550A UART: the part that does not know which bus it sits on.
 *
 * Machine lock.  One that owns a SerialState maps its eight registers, gives it an
 * interrupt line and saves it with vmstate_serial.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_HW_CHAR_SERIAL_H
#define FERRY_HW_CHAR_SERIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "chardev/chardev.h"
#include "hw/core/irq.h"
#include "migration/vmstate.h"
#include "system/address-space.h"
#include "system/clock.h"

#define UART_FIFO_LENGTH 16

typedef struct SerialFifo {
    uint8_t data[UART_FIFO_LENGTH];
    uint32_t head, num;
} SerialFifo;

typedef struct SerialState {
    uint16_t divider;
    uint8_t rbr, thr, tsr, ier, iir, lcr, mcr, lsr, msr, scr, fcr;
    int32_t thr_ipending;     /* the transmitter wants to interrupt */
    int32_t timeout_ipending; /* bytes lie in the receive FIFO for four characters' time */
    uint32_t tsr_retry;       /* times that the chardev did not take tsr; 0: none waits */
    SerialFifo recv_fifo, xmit_fifo;
    Timer fifo_timeout_timer;
    Timer retry_timer;
    int32_t poll_msl;         /* of the stock layout; modem lines never change by themselves */
    Timer modem_poll_timer;
    int64_t char_time_ns;     /* derived from divider and lcr */
    Chardev *chr;             /* NULL: bytes vanish */
    IRQLine irq;
} SerialState;

extern const VMStateDescription vmstate_serial;
extern const IORegionOps serial_io_ops; /* opaque: SerialState */

/* Timers and, when s->chr is set, its handlers. */
bool serial_init(SerialState *s, Error **errp);
void serial_exit(SerialState *s);
void serial_reset(SerialState *s);

#define MAX_ISA_SERIAL_PORTS 4

#endif
