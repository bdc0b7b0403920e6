/**
 * The mailbox: a stack of letters with many writers, taken whole by one reader.
 *
 * Writers push by compare-and-exchange; the reader takes everything by one exchange and turns it round, which gives
 * back each writer's order. Nobody pops single letters, so a head that comes back (ABA) is harmless: it is the head,
 * and its next is what was written into it. A push releases, the take acquires; every push is a read-modify-write,
 * hence the take sees the letters of all writers and not only of the last.
 *
 * Only the writer that finds the stack empty rings: whoever comes later knows that a ring is on its way. A loop rings
 * once it has run what was ready, and before it goes on to what takes long: so a reader that sleeps is woken once, for
 * all letters of the writer's turn, and does not take the processor from a writer that has more to say. A reader that
 * is awake sees them at once. The wait is bounded (LOOP_RING_PATIENCE).
 */
#include "loop/loop_internal.h"

/** The loop that runs on this thread. */
static _Thread_local struct loop *here;

void loop_enter(struct loop *l)
{
    here = l;
}

void loop_ring(struct loop *l)
{
    while (l->ring_count > 0)
        loop_wake(l->rings[--l->ring_count]);
}

static void ring_later(struct loop *l)
{
    if (here->ring_count == 0)
        here->ring_patience = LOOP_RING_PATIENCE;
    for (size_t i = 0; i < here->ring_count; i++) {
        if (here->rings[i] == l)
            return;
    }
    if (here->ring_count < LOOP_RINGS_MAX)
        here->rings[here->ring_count++] = l;
    else
        loop_wake(l);
}

void loop_post(struct loop *l, struct loop_task *task)
{
    struct loop_task *head = atomic_load_explicit(&l->mailbox, memory_order_relaxed);

    do {
        task->next = head;
    } while (
        !atomic_compare_exchange_weak_explicit(&l->mailbox, &head, task, memory_order_release, memory_order_relaxed));
    /* From here on the task may be gone. */
    if (head)
        return;
    if (!here)
        loop_wake(l);
    else if (here == l)
        l->is_rung = true;
    else
        ring_later(l);
}

bool loop_mailbox_run(struct loop *l)
{
    struct loop_task *taken = atomic_exchange_explicit(&l->mailbox, NULL, memory_order_acquire);
    struct loop_task *ordered = NULL;
    bool any = taken;

    l->is_rung = false;
    l->has_taken = true;
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
        loop_ring_soon(l);
    }
    return any;
}
