/**
 * The mailbox: a stack of letters with many writers, taken whole by one reader.
 *
 * Writers push by compare-and-exchange; the reader takes everything by one exchange and turns it round, which gives
 * back each writer's order. Nobody pops single letters, so a head that comes back (ABA) is harmless: it is the head,
 * and its next is what was written into it. A push releases, the take acquires; every push is a read-modify-write,
 * hence the take sees the letters of all writers and not only of the last.
 *
 * Only the writer that finds the stack empty rings: whoever comes later knows that a ring is on its way.
 */
#include "loop/loop_internal.h"

void loop_post(struct loop *l, struct loop_task *task)
{
    struct loop_task *head = atomic_load_explicit(&l->mailbox, memory_order_relaxed);

    do {
        task->next = head;
    } while (
        !atomic_compare_exchange_weak_explicit(&l->mailbox, &head, task, memory_order_release, memory_order_relaxed));
    /* From here on the task may be gone. */
    if (!head)
        loop_wake(l);
}

bool loop_mailbox_run(struct loop *l)
{
    struct loop_task *taken = atomic_exchange_explicit(&l->mailbox, NULL, memory_order_acquire);
    struct loop_task *ordered = NULL;
    bool any = taken;

    while (taken) {
        struct loop_task *next = taken->next;

        taken->next = ordered;
        ordered = taken;
        taken = next;
    }
    while (ordered) {
        struct loop_task *task = ordered;

        ordered = task->next;
        task->run(task);
    }
    return any;
}
