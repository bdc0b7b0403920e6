#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

/** CLOCK_MONOTONIC; for durations and deadlines. Thread: any. */
uint64_t clock_monotonic_ms(void);
uint64_t clock_monotonic_us(void);
uint64_t clock_monotonic_ns(void);
/** CLOCK_REALTIME, milliseconds since 1970; for what people read. */
int64_t clock_realtime_ms(void);
/** CPU time of this process, microseconds, user and system. */
uint64_t clock_process_cpu_us(void);

#endif
