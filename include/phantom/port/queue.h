/* SPDX-License-Identifier: Apache-2.0
 *
 * queue.h - an intrusive ring: elements are linked through a member of their own. Stability: kept
 * from the Genode port.
 *
 * A head is a queue_head_t. `type` is the type of a pointer to an element, `field` the member of
 * type queue_chain_t. All pointers in the ring are to elements, not to members; the ends point to
 * the head. An empty head points to itself. The macros that change a queue are statements.
 *
 * @threads one for each queue at a time: none of this locks, the caller serialises. Nothing here
 *   blocks, fails or allocates. Arguments may be evaluated more than once; elements are the
 *   caller's.
 */
#ifndef PHANTOM_PORT_QUEUE_H
#define PHANTOM_PORT_QUEUE_H

struct queue_entry {
    struct queue_entry *next; /* head: the first element; element: the next one, or the head */
    struct queue_entry *prev; /* head: the last element; element: the one before, or the head */
};

typedef struct queue_entry *queue_t;
typedef struct queue_entry queue_head_t;
typedef struct queue_entry queue_chain_t;
typedef struct queue_entry *queue_entry_t;

/** Make it empty; what was in it is forgotten. */
#define queue_init(q)                                                                              \
    do {                                                                                           \
        (q)->next = (q);                                                                           \
        (q)->prev = (q);                                                                           \
    } while (0)

/** The first and the last element, as queue_entry_t; the head itself if there is none. */
#define queue_first(q) ((q)->next)
#define queue_last(q)  ((q)->prev)
/** What follows a chain member, and what is before it. */
#define queue_next(qc) ((qc)->next)
#define queue_prev(qc) ((qc)->prev)
/** Is this element the end of the ring (the head)? Is the queue empty? */
#define queue_end(q, e) ((queue_entry_t)(q) == (queue_entry_t)(e))
#define queue_empty(q)  queue_end((q), queue_first(q))

/** Put an element at the end. @pre it is in no queue */
#define queue_enter(head, elt, type, field)                                                        \
    do {                                                                                           \
        queue_entry_t queue_last_ = (head)->prev;                                                  \
        (elt)->field.prev = queue_last_;                                                           \
        (elt)->field.next = (head);                                                                \
        if (queue_end((head), queue_last_)) {                                                      \
            (head)->next = (queue_entry_t)(elt);                                                   \
        } else {                                                                                   \
            ((type)(void *)queue_last_)->field.next = (queue_entry_t)(elt);                        \
        }                                                                                          \
        (head)->prev = (queue_entry_t)(elt);                                                       \
    } while (0)

/** Put an element in front. @pre it is in no queue */
#define queue_enter_first(head, elt, type, field)                                                  \
    do {                                                                                           \
        queue_entry_t queue_first_ = (head)->next;                                                 \
        (elt)->field.next = queue_first_;                                                          \
        (elt)->field.prev = (head);                                                                \
        if (queue_end((head), queue_first_)) {                                                     \
            (head)->prev = (queue_entry_t)(elt);                                                   \
        } else {                                                                                   \
            ((type)(void *)queue_first_)->field.prev = (queue_entry_t)(elt);                       \
        }                                                                                          \
        (head)->next = (queue_entry_t)(elt);                                                       \
    } while (0)

/** Take an element out. Its links are cleared. @pre it is in this queue */
#define queue_remove(head, elt, type, field)                                                       \
    do {                                                                                           \
        queue_entry_t queue_after_ = (elt)->field.next;                                            \
        queue_entry_t queue_before_ = (elt)->field.prev;                                           \
        if (queue_end((head), queue_after_)) {                                                     \
            (head)->prev = queue_before_;                                                          \
        } else {                                                                                   \
            ((type)(void *)queue_after_)->field.prev = queue_before_;                              \
        }                                                                                          \
        if (queue_end((head), queue_before_)) {                                                    \
            (head)->next = queue_after_;                                                           \
        } else {                                                                                   \
            ((type)(void *)queue_before_)->field.next = queue_after_;                              \
        }                                                                                          \
        (elt)->field.next = (queue_entry_t)0;                                                      \
        (elt)->field.prev = (queue_entry_t)0;                                                      \
    } while (0)

/** Take the first element out of a queue that is not empty and put it into `entry`. */
#define queue_remove_first(head, entry, type, field)                                               \
    do {                                                                                           \
        (entry) = (type)(void *)queue_first(head);                                                 \
        queue_remove((head), (entry), type, field);                                                \
    } while (0)

/** Visit the elements in order; the body must not remove `elt`. */
#define queue_iterate(head, elt, type, field)                                                      \
    for ((elt) = (type)(void *)queue_first(head); !queue_end((head), (queue_entry_t)(elt));        \
         (elt) = (type)(void *)queue_next(&(elt)->field))

#endif /* PHANTOM_PORT_QUEUE_H */
