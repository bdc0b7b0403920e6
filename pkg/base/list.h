#ifndef BASE_LIST_H
#define BASE_LIST_H

#include "base/macros.h"

/**
 * struct list - intrusive doubly linked ring
 *
 * A head and its members are the same struct. A member that is on no list points to itself after list_init(), so
 * list_remove() may be called twice. Thread: whoever owns the head.
 */
struct list {
    struct list *next;
    struct list *previous;
};

static inline void list_init(struct list *l)
{
    l->next = l->previous = l;
}

static inline bool list_is_empty(const struct list *l)
{
    return l->next == l;
}

/** Whether a member initialised by list_init() is on a list now. */
static inline bool list_is_linked(const struct list *member)
{
    return member->next != member;
}

static inline void list_insert_before(struct list *position, struct list *member)
{
    member->previous = position->previous;
    member->next = position;
    position->previous->next = member;
    position->previous = member;
}

static inline void list_append(struct list *head, struct list *member)
{
    list_insert_before(head, member);
}

static inline void list_prepend(struct list *head, struct list *member)
{
    list_insert_before(head->next, member);
}

static inline void list_remove(struct list *member)
{
    member->previous->next = member->next;
    member->next->previous = member->previous;
    list_init(member);
}

/** The first member, unlinked, or NULL. */
static inline struct list *list_pop(struct list *head)
{
    struct list *first = head->next;

    if (first == head)
        return NULL;
    list_remove(first);
    return first;
}

/** Moves all members of @from to the end of @to. */
static inline void list_splice(struct list *to, struct list *from)
{
    if (list_is_empty(from))
        return;
    from->next->previous = to->previous;
    to->previous->next = from->next;
    from->previous->next = to;
    to->previous = from->previous;
    list_init(from);
}

#define list_for_each(it, head) for (struct list *it = (head)->next; it != (head); it = it->next)
/** The same; @it may be removed inside the loop. */
#define list_for_each_safe(it, head)                                                                                   \
    for (struct list *it = (head)->next, *it##_next_ = it->next; it != (head); it = it##_next_, it##_next_ = it->next)

#endif
