#ifndef BASE_MACHINE_H
#define BASE_MACHINE_H

#include "base/macros.h"

/** What the machine, or the container, lets this process use. Thread: any. */

/**
 * machine_memory_bytes() - the least of the machine's memory and the limits of the cgroups this process is in
 *
 * Both versions of cgroups, each group up to the root. @root: the file system's root, "" but for tests. Return: 0 if
 * nothing could be read.
 */
uint64_t machine_memory_bytes(const char *root);
/** Memory of this process that is in RAM now; 0 if /proc does not tell. Cheap: one read of a file. */
uint64_t machine_resident_bytes(void);
/**
 * machine_raise_descriptors() - raise the limit of open descriptors as far as the hard limit allows
 *
 * The soft limit stands low for programs that use select(2). Return: the limit that holds now.
 */
uint64_t machine_raise_descriptors(void);
/**
 * machine_tune_memory() - let the allocator keep what it will need again in a moment; once, before there are threads
 *
 * By itself it gives each heap's end back to the kernel as soon as 128 KiB are free there. A loop that has a thousand
 * queues in one turn and none in the next would get all its pages anew, turn by turn. Up to 2 MiB a thread stay now,
 * until machine_trim_memory().
 */
void machine_tune_memory(void);
/**
 * machine_trim_memory() - give back to the kernel what is free inside all heaps, and at the end of this thread's
 *
 * Costs about a millisecond for each ten megabytes of holes, during which other threads' allocations may wait: after
 * something large has gone, not often.
 */
void machine_trim_memory(void);

#endif
