/* SPDX-License-Identifier: Apache-2.0
 *
 * commit.pml - the commit protocol of the store (docs/formats/store.md) for the model checker spin:
 * every order of writes, lost and torn writes, failing flushes and crashes, also inside recovery,
 * for a memory of one page, a ring of RING records and BLOCKS data blocks.
 *
 * Checked at each recovery:
 *   - what opens is the last acknowledged generation or the one in flight (P2);
 *   - its page and that of its parent are what was committed under those numbers (P1, P3);
 *   - no crash looks like damage (P4): the branches of recovery that say "corrupt" are not reached;
 *   - no number is used twice while a trace of the first use is on the disk.
 *
 * A write waits in p_*; a flush makes durable what waits; a power cut applies any subset and may
 * tear a record or leave garbage in a page. Crash points stand before each flush and where the
 * host has learnt something: an earlier crash leaves a subset of what a later one may leave.
 *
 * Mutants (spin -D...; spin must find a counterexample for each): ACK_BEFORE_FLUSH NO_RETIRE
 * NO_OWN_PAGE_CHECK REUSE_TOO_EARLY FLUSH_BEFORE_REAP FLUSH_RETRIED STALE_GENERATION_NUMBER
 * LARGE_COMMIT_NOT_FLUSHED SEAL_BEFORE_FLUSH NO_FLUSH_AT_OPEN RETIRE_NOT_FLUSHED
 *
 * Not modelled: sectors (a torn record is one thing), more than one page, readers.
 */
#ifndef CRASHES
#define CRASHES 3
#endif
#ifndef COMMITS
#define COMMITS 3
#endif
#define RING    4
#define BLOCKS  4
#define NUMBERS 12
#define GARBAGE 9

#define TOMB   0 /* kinds of record; a fresh slot is a tombstone of number 0 */
#define COMMIT 1
#define TORN   2

typedef record {
    byte kind, number, parent, block, content;
    bit flushed_first
};

record disk[RING], wait[RING]; /* durable; on its way */
bit p_record[RING];
byte page[BLOCKS], p_content[BLOCKS]; /* content of a data block; 0: on its way nothing */
byte seal, seal_content, p_seal, p_seal_content;

/* ghosts: what the host knows */
byte acked, attempt;
byte truth[NUMBERS]; /* content by number */

/* the open store */
byte current, next;
byte cur_block, par_block; /* of the two generations that are retained; BLOCKS: none */

byte crashes, commits, failures;

/* scratch */
byte i, newest, highest, expected, number, chosen, content, block, slot, parent_slot;
bit expected_is_torn, sealed, whole, large, failed, dirty;

#define NO_SLOT RING

inline copy_record(to, from)
{
    to.kind = from.kind; to.number = from.number; to.parent = from.parent;
    to.block = from.block; to.content = from.content; to.flushed_first = from.flushed_first
}

inline clear_wait(s)
{
    p_record[s] = 0;
    wait[s].kind = 0; wait[s].number = 0; wait[s].parent = 0; wait[s].block = 0;
    wait[s].content = 0; wait[s].flushed_first = 0
}

/* What no later step reads shall not tell states apart. */
inline forget()
{
    newest = 0; highest = 0; expected = 0; number = 0; chosen = 0; content = 0; block = 0; slot = 0;
    expected_is_torn = 0; sealed = 0; whole = 0; large = 0; failed = 0; dirty = 0; i = 0
}

/* Any subset of what waits reaches the disk, whole or torn. */
inline lose_power()
{
    atomic {
    i = 0;
    do
    :: i < RING ->
        if
        :: p_record[i] ->
            if
            :: copy_record(disk[i], wait[i])
            :: skip
            :: /* torn: the number that can still be read is the old one, the new one or none */
               if
               :: disk[i].number = wait[i].number
               :: skip
               :: disk[i].number = 0
               fi;
               disk[i].kind = TORN; disk[i].parent = 0; disk[i].block = 0; disk[i].content = 0;
               disk[i].flushed_first = 0
            fi;
            clear_wait(i)
        :: else
        fi;
        i++
    :: else -> break
    od;
    i = 0;
    do
    :: i < BLOCKS ->
        if
        :: p_content[i] != 0 ->
            if
            :: page[i] = p_content[i]
            :: skip
            :: page[i] = GARBAGE
            fi;
            p_content[i] = 0
        :: else
        fi;
        i++
    :: else -> break
    od;
    if
    :: p_seal != 0 ->
        if
        :: seal = p_seal; seal_content = p_seal_content
        :: skip
        :: seal = 0; seal_content = 0 /* torn: its sum does not hold */
        fi;
        p_seal = 0; p_seal_content = 0
    :: else
    fi;
    i = 0
    }
}

inline apply_all()
{
    i = 0;
    do
    :: i < RING ->
        if
        :: p_record[i] -> copy_record(disk[i], wait[i]); clear_wait(i)
        :: else
        fi;
        i++
    :: else -> break
    od;
    i = 0;
    do
    :: i < BLOCKS ->
        if
        :: p_content[i] != 0 -> page[i] = p_content[i]; p_content[i] = 0
        :: else
        fi;
        i++
    :: else -> break
    od;
    if
    :: p_seal != 0 -> seal = p_seal; seal_content = p_seal_content; p_seal = 0; p_seal_content = 0
    :: else
    fi;
    i = 0
}

/* A flush that fails forgets what waits: the kernel marks those pages clean. */
inline flush()
{
    failed = 0;
    if
    :: d_step { apply_all() }
    :: failures < 1 ->
        failures++;
        lose_power();
#ifndef FLUSH_RETRIED
        failed = 1
#endif
    fi
}

inline may_crash()
{
    if
    :: crashes < CRASHES -> atomic { crashes++; lose_power(); d_step { forget() }; goto reopen }
    :: skip
    fi
}

/* What a reader sees is what waits over what is durable. */
#define R_KIND(s)    (p_record[s] -> wait[s].kind : disk[s].kind)
#define R_NUMBER(s)  (p_record[s] -> wait[s].number : disk[s].number)
#define R_PARENT(s)  (p_record[s] -> wait[s].parent : disk[s].parent)
#define R_BLOCK(s)   (p_record[s] -> wait[s].block : disk[s].block)
#define R_CONTENT(s) (p_record[s] -> wait[s].content : disk[s].content)
#define R_FIRST(s)   (p_record[s] -> wait[s].flushed_first : disk[s].flushed_first)
#define R_PAGE(b)    (p_content[b] != 0 -> p_content[b] : page[b])
#define R_SEAL       (p_seal != 0 -> p_seal : seal)
#define R_SEALED     (p_seal != 0 -> p_seal_content : seal_content)

inline classify()
{
    newest = NO_SLOT; highest = 0; i = 0;
    do
    :: i < RING ->
        if
        :: R_KIND(i) != TORN && R_NUMBER(i) > highest -> highest = R_NUMBER(i)
        :: else
        fi;
        if
        :: R_KIND(i) == COMMIT ->
            if
            :: newest == NO_SLOT -> newest = i
            :: newest != NO_SLOT ->
                if
                :: R_NUMBER(i) > R_NUMBER(newest) -> newest = i
                :: else
                fi
            fi
        :: else
        fi;
        i++
    :: else -> break
    od;
    expected = highest + 1;
    do
    :: newest != NO_SLOT && (expected % RING == newest ||
                             (R_PARENT(newest) != 0 && expected % RING == R_PARENT(newest) % RING)) ->
        expected++
    :: else -> break
    od;
    i = 0
}

inline judge_torn()
{
    expected_is_torn = 0; i = 0;
    do
    :: i < RING ->
        if
        :: R_KIND(i) == TORN && i == expected % RING && R_NUMBER(i) <= expected ->
            expected_is_torn = 1
        :: R_KIND(i) == TORN && !(i == expected % RING && R_NUMBER(i) <= expected) ->
            /* else it is damage: a crash must not look like that */
            assert(newest != NO_SLOT && R_NUMBER(i) <= R_NUMBER(newest))
        :: else
        fi;
        i++
    :: else -> break
    od;
    i = 0
}

inline choose_generation()
{
    chosen = newest;
    if
    :: newest != NO_SLOT ->
        assert(R_SEAL <= R_NUMBER(newest)); /* a seal of a record that is not there: damage */
        sealed = (R_SEAL == R_NUMBER(newest)) || expected_is_torn;
        assert(R_SEAL != R_NUMBER(newest) || R_SEALED == R_CONTENT(newest));
        whole = R_PAGE(R_BLOCK(newest)) == R_CONTENT(newest);
#ifdef NO_OWN_PAGE_CHECK
        sealed = 1;
#endif
        if
        :: sealed || R_FIRST(newest) -> assert(whole) /* or an acknowledged generation is lost */
        :: !(sealed || R_FIRST(newest)) && !whole ->
            if
            :: R_PARENT(newest) == 0 -> chosen = NO_SLOT
            :: else ->
                chosen = R_PARENT(newest) % RING;
                assert(R_KIND(chosen) == COMMIT && R_NUMBER(chosen) == R_PARENT(newest))
            fi
        :: else
        fi
    :: else -> assert(R_SEAL == 0)
    fi
}

inline check_promises()
{
    current = (chosen == NO_SLOT -> 0 : R_NUMBER(chosen));
    assert(current == acked || (attempt != 0 && current == attempt));
    cur_block = BLOCKS; par_block = BLOCKS;
    if
    :: chosen != NO_SLOT ->
        assert(R_CONTENT(chosen) == truth[current]);
        assert(R_PAGE(R_BLOCK(chosen)) == truth[current]);
        cur_block = R_BLOCK(chosen);
        if
        :: R_PARENT(chosen) != 0 ->
            parent_slot = R_PARENT(chosen) % RING;
            assert(R_KIND(parent_slot) == COMMIT && R_NUMBER(parent_slot) == R_PARENT(chosen));
            assert(R_PAGE(R_BLOCK(parent_slot)) == truth[R_PARENT(chosen)]);
            par_block = R_BLOCK(parent_slot)
        :: else
        fi
    :: else
    fi
}

/* Tombstones over what was not chosen; next: above every number seen. */
inline retire()
{
    next = current; i = 0; dirty = 0;
    do
    :: i < RING ->
        number = (R_KIND(i) == TORN && i == expected % RING && R_NUMBER(i) <= expected ->
                      expected : R_NUMBER(i));
#ifndef STALE_GENERATION_NUMBER
        if
        :: number > next -> next = number
        :: else
        fi;
#endif
        if
        :: R_KIND(i) == TORN || (R_KIND(i) == COMMIT && R_NUMBER(i) > current) ->
#ifndef NO_RETIRE
            clear_wait(i);
            wait[i].number = number;
            p_record[i] = 1;
            dirty = 1
#else
            skip
#endif
        :: else
        fi;
        i++
    :: else -> break
    od;
    i = 0
}

inline next_number()
{
    next++;
    do
    :: current != 0 && (next % RING == current % RING ||
                        (par_block != BLOCKS && next % RING == parent_slot)) -> next++
    :: else -> break
    od
}

inline pick_block()
{
#ifdef REUSE_TOO_EARLY
    if
    :: cur_block != BLOCKS -> block = cur_block
    :: else -> block = 0
    fi
#else
    if
    :: cur_block != 0 && par_block != 0 -> block = 0
    :: cur_block != 1 && par_block != 1 -> block = 1
    :: cur_block != 2 && par_block != 2 -> block = 2
    fi
#endif
}

active proctype store()
{
reopen:
    skip;
    /* What a killed writer left in the page cache may not be on the disk: flush before reading. */
#ifndef NO_FLUSH_AT_OPEN
    d_step { apply_all() };
#endif
    d_step { classify(); judge_torn() };
    d_step { choose_generation(); check_promises(); retire() };
    if
    :: dirty ->
#ifndef RETIRE_NOT_FLUSHED
        may_crash();
        flush();
        if
        :: failed -> goto reopen
        :: else
        fi
#else
        skip
#endif
    :: else
    fi;
    d_step {
        next_number();
        assert(newest == NO_SLOT || next > R_NUMBER(newest)); /* also of an incomplete one */
        acked = current; attempt = 0; forget()
    };
    may_crash();

commit:
    skip;
    if
    :: commits >= COMMITS -> goto end_run
    :: else -> commits++
    fi;
    if :: content = 1 :: content = 2 fi;
    if :: large = 0 :: large = 1 fi;
    pick_block();
    slot = next % RING;
    assert(next < NUMBERS);
    d_step { attempt = next; truth[next] = content; p_content[block] = content };
    if
    :: large ->
#ifndef LARGE_COMMIT_NOT_FLUSHED
        may_crash();
        flush();
        if
        :: failed -> goto reopen
        :: else
        fi
#else
        skip
#endif
    :: else
    fi;
    d_step {
        clear_wait(slot);
        wait[slot].kind = COMMIT; wait[slot].number = next; wait[slot].parent = current;
        wait[slot].block = block; wait[slot].content = content; wait[slot].flushed_first = large;
        p_record[slot] = 1
    };
#ifdef SEAL_BEFORE_FLUSH
    p_seal = next; p_seal_content = content;
#endif
    may_crash();
    if
    :: crashes < CRASHES -> /* killed: what was written is in the page cache */
        d_step { crashes++; forget() };
        goto reopen
    :: skip
    fi;
#if defined(ACK_BEFORE_FLUSH)
    skip;
#elif defined(FLUSH_BEFORE_REAP)
    /* The flush covers what had completed by then; here: not the record. */
    d_step { page[block] = (p_content[block] != 0 -> p_content[block] : page[block]); p_content[block] = 0 };
#else
    flush();
    if
    :: failed -> goto reopen
    :: else
    fi;
#endif
    d_step {
        acked = next; attempt = 0;
        par_block = cur_block; parent_slot = current % RING; cur_block = block; current = next;
        next_number(); whole = 0; large = 0; slot = 0; block = 0
    };
    may_crash();
    if
    :: p_seal = current; p_seal_content = content; may_crash() /* idle: sealed, not flushed */
    :: skip
    fi;
    goto commit;

end_run:
    skip;
    /* Whatever the budget of crashes says: the power fails in the end, and the store opens. */
    lose_power();
    d_step { classify(); judge_torn(); choose_generation(); check_promises() };
    skip
}
