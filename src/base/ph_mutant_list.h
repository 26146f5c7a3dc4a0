/* SPDX-License-Identifier: Apache-2.0 - the seeded defects, by room. See ph_mutant.h. */
#ifndef PH_MUTANT_LIST_H
#define PH_MUTANT_LIST_H

#define PH_MUTANT_LIST(X)                                                                          \
    /* store */                                                                                    \
    X(ACK_BEFORE_FLUSH, "a commit is published before its flush completed")                        \
    X(NO_RETIRE, "recovery leaves records it did not choose in place")                             \
    X(NO_OWN_PAGE_CHECK, "open does not verify the newest unsealed generation's own pages")        \
    X(REUSE_TOO_EARLY, "blocks of the last committed generation are reused")                       \
    X(NO_RECORD_CHECKSUM, "the commit record's checksum is not compared")                          \
    X(FLUSH_BEFORE_REAP, "the flush is sent before the write completions are reaped")              \
    X(SHORT_WRITE_IGNORED, "a short write counts as complete")                                     \
    X(WRITE_ERROR_IGNORED, "a failed write does not poison the handle")                            \
    X(FLUSH_RETRIED, "a failed flush is sent again and believed")                                  \
    X(STALE_GENERATION_NUMBER, "a torn record's generation number is used again")                  \
    X(WRONG_STORE_ACCEPTED, "page sums are not keyed by store and page number")                    \
    X(LARGE_COMMIT_NOT_FLUSHED, "a large commit claims flushed data without a flush")              \
    X(SEAL_BEFORE_FLUSH, "the seal is written before the generation is durable")                   \
    X(PARENT_NOT_CHECKED, "a record whose parent hash does not match is accepted as successor")    \
    X(CHECKPOINT_FORGETS, "a checkpoint leaves out entries of the delta runs it replaces")         \
    X(DELTA_SUM_IGNORED, "the sum of a delta run is not compared")                                 \
    X(REUSED_UNACCOUNTED, "blocks are given out before it is known who owns them")                 \
    X(EARLY_ANYWHERE, "a commit before accounting takes blocks that are not proved free")          \
    X(EARLY_DEAD_FORGOTTEN, "what died before accounting was complete never becomes free")         \
    X(EARLY_DROPS, "a commit before accounting drops generations")                                 \
    X(STREAM_OVERTAKES, "a staging slot is filled again while its page is being written")          \
    X(DELTA_NOT_VERIFIED, "open does not verify the newest unsealed generation's own delta run")   \
    X(NO_FLUSH_AT_OPEN, "open believes what a killed writer left in the page cache")               \
    X(RETIRE_NOT_FLUSHED, "recovery does not make its tombstones durable before new writes")       \
    X(READ_ONLY_RETIRES, "a read-only open overwrites records")                                    \
    X(POISONED_SEALS, "a poisoned handle writes its seal at close")                                \
    X(DELETED_STORE_ACKNOWLEDGED, "a store that was deleted or cut short is written on")           \
    X(READER_IGNORED, "a generation that a reader has locked is dropped")                          \
    X(TRIM_KEEPS_HISTORY, "making room on a full disk drops nothing")                              \
    X(SUPERBLOCK_COPY_IGNORED, "the second superblock is not tried")                               \
    X(NUMBER_LIMIT_IGNORED, "generation numbers beyond the limit are used")                        \
    X(INCARNATION_MISSING, "records do not say which opening wrote them")                          \
    X(CATALOG_NOT_FLUSHED, "the record goes out together with a new catalog")                      \
    X(CATALOG_NOT_CHECKED, "the sums of the catalog are not compared")                             \
    X(TAG_IGNORED, "retention drops generations that a tag names")                                 \
    X(ROLLBACK_NUMBER, "a rollback takes the number of the generation it returns to")              \
    /* engine: COPY_BEFORE_PROTECT stays the first that is not the store's */                      \
    X(COPY_BEFORE_PROTECT, "a live page is copied before it is protected again")                   \
    X(DIRTY_SET_FORGOTTEN, "pages of a refused snapshot are not carried to the next cut")          \
    X(REGION_CLEARED_LIVE, "a live round clears the region bytes of the marks")                    \
    X(MARKS_TRUSTED_BLINDLY, "the stop takes its set from the marks after an unmarked writer")     \
    X(MARKS_WITHOUT_BARRIER, "a live round does not wait for stores whose mark it has cleared")    \
    X(MARKS_CLEARED_AFTER_COPY, "a live round clears the marks after it has copied")               \
    X(RESIDUE_DROPPED, "what the staging area has no room for in the stop is left out")            \
    X(OPEN_PAGE_FORGOTTEN, "a page that the last stop left unprotected is not copied again")       \
    X(HOT_REGION_FORGOTTEN, "the stop does not ask about a region that live rounds leave alone")   \
    X(PROTECTED_AFTER_RESUME, "what a stop has left unprotected is protected when the world runs") \
    X(UNCHANGED_BUT_HOLES, "a snapshot that only makes holes is taken for one of nothing new")     \
    X(HOLES_NEED_BLOCKS, "a commit asks for room for pages that become holes")                     \
    /* store and engine, each found by the unit test that docs/hazards.md names */                 \
    X(EVIDENCE_RETIRED, "recovery overwrites what proved its generation durable, without a seal")  \
    X(FLUSH_BELIEVED, "a flush that succeeds while the file system is shut down is believed")      \
    X(FAILED_FILL_ACKNOWLEDGED, "a commit whose new blocks could not be filled is acknowledged")   \
    X(STUCK_WRITE_RESENT, "a write that never gets a block further is sent again for ever")        \
    X(LOST_BUFFERS_FREED, "buffers of writes that never came back are freed")                      \
    X(FIRST_WORD_WINS, "of a page that is staged twice the first content is committed")            \
    X(NOTHING_RESERVED, "no room is reserved before the stop")                                     \
    X(NODE_SUM_IGNORED, "the sum of a map node is not compared")                                   \
    X(SEAL_NOT_BELIEVED, "damage of a sealed generation is taken for a torn commit")               \
    X(SECOND_WRITER, "a store that another writer has locked is written, too")                     \
    X(FEATURES_IGNORED, "a store that uses an unknown feature is opened")                          \
    X(SILENT_WRITER_IGNORED,                                                                       \
      "pages that are written and never marked do not end the trust in marks")                     \
    X(EPOCH_GUESSES, "strategy epoch goes on after an unannounced writer")                         \
    /* lazy restore */                                                                             \
    X(RESTORED_OVER_DISCARD, "a page discarded before it was loaded comes back from the store")    \
    X(RESTORED_UNPROTECTED, "a loaded page is installed without protection")                       \
    X(RESTORED_UNVERIFIED, "a loaded page is installed although its sum is wrong")                 \
    X(UNLOADED_IS_HOLE, "a cut takes pages that are not loaded yet for discarded ones")            \
    /* stores of heap and machine */                                                               \
    X(STORE_TOLD_LATE, "a reference is stored before the store is announced")                      \
    X(STORE_TOLD_EARLY, "the mark of a reference is set before it is stored")                      \
    X(FRAME_UNTOLD, "a frame is left for a called one without a mark")                             \
    X(THREAD_UNTOLD, "the thread object is not announced at the begin of a slice")                 \
    X(BITS_UNTOLD, "allocation bits are stored without a word")                                    \
    X(BODY_CLEARED_UNTOLD, "old bytes that a huge object swallows are cleared without a word")     \
    X(TABLES_CLEARED_UNTOLD, "the place of a chunk's tables is cleared without a word")            \
    /* copy on write */                                                                            \
    X(IMAGE_AFTER_STORE, "the before-image is copied when the store was let through")              \
    X(CLAIM_IGNORED, "the writer reads a live page that a storing thread has claimed")             \
    X(DISCARD_NOT_REARMED, "a discarded page does not announce its next store")                    \
    X(FROZEN_SET_FORGOTTEN, "pages of a failed snapshot are not changed pages again")              \
    X(UNPROTECT_BEFORE_COPY, "a caught page becomes writable before it was saved")                 \
    X(GUARD_MEETS_HOLE, "a store into a hole is saved before there is a page to read")             \
    X(DISCARD_UNCLAIMED, "a discarded page leaves the changed set without being claimed")          \
    X(KEPT_PAGE_FORGOTTEN, "a page that could not be given back does not announce its next store") \
    X(ROOM_ONLY_ONCE, "the stop makes room for what was changed while room was made")              \
    X(FAILED_SCAN_TRUSTED, "a scan that failed is taken to have protected nothing")                \
    /* copies and other work on whole generations */                                               \
    X(COPY_TAKES_SLOT, "a copied generation overwrites the record of another in its ring slot")    \
    X(COPY_WITHOUT_LOCK, "a copy does not hold its generation against the writer")                 \
    X(CLONE_KEEPS_UUID, "a clone has the UUID of the store it was made from")                      \
    X(SALVAGE_UNVERIFIED, "salvage takes a page that does not verify")                             \
    X(SALVAGE_COUNT_BELIEVED, "salvage takes a generation that is not what its record says")       \
    X(ROLLBACK_UNTOUCHED, "a rollback that is refused leaves the old pages in the map")            \
    X(RENAME_BEFORE_SYNC, "a new file gets its name before its content is durable")                \
    X(UNLISTED_RECORD_IGNORED, "nobody is told of generations that opening could not list")        \
    X(REPLACED_UNDER_HOLDER, "a store that somebody has open is replaced by a copy of another")    \
    /* compression */                                                                              \
    X(PACK_LENGTHS_BELIEVED, "lengths in the head of a pack are not held against its size")        \
    X(PACKED_PAGE_UNCHECKED, "the sum of a page is not compared when it comes out of a pack")      \
    X(PACK_FREED_EARLY, "a pack is free when one of its pages is replaced")                        \
    X(PACK_SLOTS_FORGOTTEN, "a rollback does not count the packed pages that come back")           \
    /* encryption */                                                                               \
    X(ENCRYPTION_NONCE_REUSED, "the nonce of a block does not depend on its content")              \
    /* space */                                                                                    \
    X(ALLOCATOR_STORES_SILENTLY, "the allocator does not announce its stores before them")         \
    X(CACHED_SLOTS_COUNTED, "slots in a thread's cache are marked as allocated in the space")      \
    X(GATE_NOT_FENCED, "a stop looks who is inside before all have seen that it is wanted")        \
    X(GATE_ENTERED_STOPPED, "an operation begins although a stop is in force")                     \
    X(GATE_WAKE_LOST, "who leaves an operation does not wake the one who stops")                   \
    X(GROUP_CLOSED_LATE, "who asks after the cut is acknowledged with that cut's generation")      \
    X(GROUP_END_EARLY, "the end of a space does not wait for those who wait for a commit")         \
    X(GROUP_WAKE_LOST, "a leader that ends wakes no leader for the next group")                    \
    X(GROUP_ASKER_UNCOUNTED, "the end of a space does not wait for who asks without waiting")      \
    X(GROUP_ENDED_WRITES, "who waits on a ticket comes to write when the end has begun")           \
    X(MARKED_BEFORE_STORE, "the allocator announces a store before it makes it")                   \
    X(DAMAGED_MAY_WAIT, "what the host is told of damage in may wait for the thread it runs in")   \
    X(FORKED_CHILD_FREES, "closing a space in a forked child frees what others were at")           \
    /* threads: found by sim_mutants */                                                            \
    X(QUIET_WAKE_LOST, "the last worker that parks does not wake who stops the world")             \
    X(COUNTER_NOT_ATOMIC, "workers are counted as running without the lock")                       \
    X(QUEUED_AFTER_UNLOCK, "a thread that must wait is queued when the lock was given up before")  \
    X(PARK_MISSED, "a worker runs threads although the world is stopped")                          \
    /* hal_posix and hal_sim */                                                                    \
    X(COND_SLEEPS_LATE,                                                                            \
      "a signal between giving up the mutex and sleeping on a condition is lost")                  \
    X(SEM_SLEEPS_LATE, "a release between a look at the count and the sleep is lost")              \
    /* hal_posix */                                                                                \
    X(DEAD_WRITER_NOT_AWAITED, "a store whose killed writer still has its lock is called busy")    \
    X(CHILD_KEEPS_LOCK, "a forked child keeps the descriptor that holds a store's lock")           \
    X(DIRECTORY_NOT_SYNCED, "a new file's name is not made durable")                               \
    /* port_lib */                                                                                 \
    X(PAGER_FREED_AT_ONCE, "a block that the disk still names is given out again")                 \
    X(PAGER_NO_FENCE, "superblocks are written without a flush between them")                      \
    X(POOL_HANDLES_COME_AGAIN, "the handle of an element that is gone names the next one")         \
    X(STOP_LETS_IN, "threads enter the heap while it is stopped")                                  \
    /* port_hal */                                                                                 \
    X(TID_REUSED, "the number of a thread that ended names its successor")                         \
    X(OWNER_OF_CALLER, "t_set_owner sets the owner of the calling thread")                         \
    X(UNLOCK_BEFORE_SLEEP, "thread_block gives the lock away before it is asleep")                 \
    X(PIECES_FREED, "frames that were allocated together are freed in pieces")                     \
    X(FENCE_WITHOUT_FLUSH, "a fence of a disk does not flush the device")                          \
    X(FENCE_NOT_WAITED, "a fence of a disk does not wait for requests that are queued")            \
    X(TURN_NOT_AWAITED, "a synchronous transfer overtakes a queued one that it overlaps")          \
    X(OVERLAP_UNORDERED, "requests that overlap are under way together")                           \
    X(QUEUED_TWICE, "a request that is queued or under way is queued a second time")               \
    X(DONE_BEFORE_FLAGS, "a request's callback is called before its flags are clear")              \
    X(IO_ERROR_LOST, "a transfer that failed is reported as done")                                 \
    X(CANCELLED_FIRES, "a net timer that was cancelled when it was due fires")                     \
    X(UNDO_NOT_WAITED, "an undone timed call may still be going on")                               \
    X(DPC_FIXED_WORKERS, "a blocked DPC stops others: no worker is added")                         \
    X(CALLBACK_ENDS_THREAD, "a callback that ends its thread ends a thread of the HAL")            \
    X(DPC_TICK_WAITS,                                                                              \
      "the second tick, and all timers with it, waits for the end of dpc_finish()")                \
    X(THREADS_AT_THE_END, "a callback starts a thread while its instance is destroyed")            \
    X(FAR_TIMER_FIRES, "a timed call that is too far away to be counted is made at once")          \
    X(STRANGERS_DISK, "a request of one instance is taken by the disk of another one")             \
    X(STAT_NOT_ATOMIC, "counters are changed with a load and a store")                             \
    X(FENCE_BELIEVES_FLUSH, "a fence believes a flush although the file cannot be reached")        \
    X(FAILED_FENCE_FORGOTTEN, "the fence after one that failed succeeds")                          \
    X(SHORT_TRANSFER_DONE, "a transfer is over when a part of it was moved")                       \
    X(DEQUEUED_WRITES, "a request that was taken out of the queue is carried out")                 \
    X(RAISED_OVERTAKES, "a request that is raised overtakes one that it overlaps")                 \
    X(ORPHANS_REQUEST_FAILS, "a request fails when the thread that queued it has ended")

#endif /* PH_MUTANT_LIST_H */
