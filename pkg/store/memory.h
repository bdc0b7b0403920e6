#ifndef STORE_MEMORY_H
#define STORE_MEMORY_H

#include "store/store.h"

/** The store of one node alone (--standalone), and of unit tests. Bounded as Redis's would be: seen ids by window, the
 * rest by what is stated. Copies @identity. */
int memory_store_new(struct loop *owner, const struct store_identity *identity,
                     struct store **ret_store) base_must_check;

#endif
