/* SPDX-License-Identifier: Apache-2.0
 *
 * stop_the_world.pml - the handshake of a cut and the marks of written pages, for the model checker
 * spin. Workers write a page of the heap and mark it (snap_marks.h); a snapshotter makes live
 * rounds and cuts (pvm_stop_world() in pvm_sched.c, the phases of snap_engine.c). Memory is that of
 * x86: each worker's stores wait in its own queue, in order, and its loads look into the queue
 * first. Taking or releasing a lock, and the barrier of a live round, empty the queue.
 *
 * One page stands for the page and region bytes of all: the marks of different pages never meet.
 *
 * Checked:
 *   - at the cut the staged copy of the page is the page (the heap-at-the-cut oracle);
 *   - nobody writes while the world is stopped, and no store is still in a queue then;
 *   - nobody sleeps for ever: a lost wake-up is a deadlock, which spin reports (workers and
 *     snapshotter do a bounded amount of work and must all reach their end);
 *   - the snapshotter gets its cut although workers go on for ever (ltl `granted`, run with
 *     -DFOR_EVER and weak fairness).
 *
 * Mutants (spin -D...): MARK_BEFORE_STORE NO_BARRIER COPY_BEFORE_CLEAR REGION_CLEARED_LIVE
 * SIGNAL_WITHOUT_LOCK WAIT_ONCE NOT_ALL_PARKED NO_WAKE_AT_RESUME, and with -DFOR_EVER
 * POLL_RESET_BY_WORKER.
 */
#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef STORES
#define STORES 2
#endif
#ifndef CUTS
#define CUTS 2
#endif
#define QUEUE 3

#define ON_PAGE   1 /* what a queued store goes to */
#define ON_MARK   2
#define ON_REGION 3

byte page, staged;      /* contents: 0 at birth, then numbers of stores */
bit mark, region;       /* page byte, region byte */
byte q_where[WORKERS * QUEUE], q_value[WORKERS * QUEUE];
byte q_count[WORKERS];

bit lock, poll;         /* the VM's lock; "come out" */
bit cut_wanted, cut_active, wants;
byte n_running;
bit sleeps[WORKERS], cutter_sleeps; /* in work_cond; in quiet_cond */
byte cuts;

#define AT(w, k) ((w) * QUEUE + (k))

inline pop(w)
{
    if
    :: q_where[AT(w, 0)] == ON_PAGE -> page = q_value[AT(w, 0)]
    :: q_where[AT(w, 0)] == ON_MARK -> mark = 1
    :: q_where[AT(w, 0)] == ON_REGION -> region = 1
    fi;
    q_where[AT(w, 0)] = q_where[AT(w, 1)]; q_value[AT(w, 0)] = q_value[AT(w, 1)];
    q_where[AT(w, 1)] = q_where[AT(w, 2)]; q_value[AT(w, 1)] = q_value[AT(w, 2)];
    q_where[AT(w, 2)] = 0; q_value[AT(w, 2)] = 0;
    q_count[w]--
}

inline drain(w)
{
    do
    :: q_count[w] > 0 -> pop(w)
    :: else -> break
    od
}

inline push(w, where, value)
{
    atomic {
        q_count[w] < QUEUE -> q_where[AT(w, q_count[w])] = where;
        q_value[AT(w, q_count[w])] = value;
        q_count[w]++
    }
}

#define HAS(w, where)                                                                              \
    (q_where[AT(w, 0)] == (where) || q_where[AT(w, 1)] == (where) || q_where[AT(w, 2)] == (where))

inline acquire(w)
{
    atomic { !lock -> lock = 1; drain(w) }
}

inline release(w)
{
    d_step { drain(w); lock = 0 }
}

inline wake_workers()
{
    sleeps[0] = 0;
    sleeps[WORKERS - 1] = 0
}

/* snap_mark(): the page byte is tested first, then set, then the same for the region's. */
inline do_mark(w)
{
    if
    :: mark || HAS(w, ON_MARK) -> skip
    :: !(mark || HAS(w, ON_MARK)) ->
        push(w, ON_MARK, 0);
        if
        :: region || HAS(w, ON_REGION) -> skip
        :: !(region || HAS(w, ON_REGION)) -> push(w, ON_REGION, 0)
        fi
    fi
}

/* At a safepoint with the poll flag up: leave, wait until nobody wants a cut, come back. */
inline park(w)
{
    acquire(w);
    n_running--;
#ifdef POLL_RESET_BY_WORKER
    poll = 0; /* without asking whether there is a reason left */
#endif
#ifdef SIGNAL_WITHOUT_LOCK
    release(w);
    if
    :: n_running == 0 && cut_wanted -> cutter_sleeps = 0
    :: else
    fi;
    acquire(w);
#else
    if
    :: n_running == 0 && cut_wanted -> cutter_sleeps = 0
    :: else
    fi;
#endif
#ifdef WAIT_ONCE
    /* Decides to sleep, lets go of the lock, and then sleeps: a resume in between is lost. */
    if
    :: cut_wanted -> release(w); sleeps[w] = 1; !sleeps[w]; acquire(w)
    :: else
    fi;
#else
    do
    :: cut_wanted -> d_step { drain(w); sleeps[w] = 1; lock = 0 }; !sleeps[w]; acquire(w)
    :: else -> break
    od;
#endif
    n_running++;
    release(w)
}

proctype worker(byte w)
{
    byte stores = 0;
    do
    :: stores < STORES ->
        if
        :: poll -> park(w)
        :: else
        fi;
        /* between two safepoints: store, then mark */
#ifdef MARK_BEFORE_STORE
        do_mark(w);
#endif
        assert(!cut_active);
        push(w, ON_PAGE, 1 + stores * WORKERS + w);
#ifndef MARK_BEFORE_STORE
        do_mark(w);
#endif
#ifdef FOR_EVER
        stores = 1 - stores
#else
        stores++
#endif
    :: stores >= STORES -> break
    od;
    acquire(w);
    n_running--;
    if
    :: n_running == 0 && cut_wanted -> cutter_sleeps = 0
    :: else
    fi;
    release(w)
}

/* A store leaves its queue at any time. */
proctype memory()
{
end:
    do
    :: atomic { q_count[0] > 0 -> pop(0) }
    :: atomic { q_count[WORKERS - 1] > 0 -> pop(WORKERS - 1) }
    od
}

inline barrier()
{
    d_step { drain(0); drain(WORKERS - 1); skip }
}

/* The engine looks for marks in regions that are marked, and nowhere else. */
inline live_round()
{
    if
    :: region && mark ->
#ifdef COPY_BEFORE_CLEAR
        staged = page;
        mark = 0;
        barrier()
#else
        mark = 0;
#ifdef REGION_CLEARED_LIVE
        region = 0;
#endif
#ifndef NO_BARRIER
        barrier();
#endif
        staged = page
#endif
    :: else
    fi
}

inline stop_world()
{
    atomic { !lock -> lock = 1; cut_wanted = 1; poll = 1 };
    do
#ifdef NOT_ALL_PARKED
    :: n_running > 1 ->
#else
    :: n_running > 0 ->
#endif
#ifdef SIGNAL_WITHOUT_LOCK
        lock = 0; cutter_sleeps = 1; /* as WAIT_ONCE: looks, and then sleeps */
#else
        d_step { cutter_sleeps = 1; lock = 0 };
#endif
        !cutter_sleeps;
        atomic { !lock -> lock = 1 }
    :: else -> break
    od;
    cut_active = 1;
    lock = 0
}

inline resume_world()
{
    atomic { !lock -> lock = 1 };
    d_step {
        cut_active = 0; cut_wanted = 0; poll = 0;
#ifndef NO_WAKE_AT_RESUME
        wake_workers();
#endif
        lock = 0
    }
}

proctype snapshotter()
{
    do
    :: cuts < CUTS ->
        live_round();
        wants = 1;
        stop_world();
        wants = 0;
        assert(q_count[0] == 0 && q_count[WORKERS - 1] == 0);
        d_step {
            if
            :: region && mark -> mark = 0; staged = page
            :: else
            fi;
            region = 0
        };
        assert(staged == page);
        resume_world();
        cuts++
    :: else -> break
    od
}

init
{
    atomic {
        n_running = WORKERS;
        run memory();
        run worker(0);
        if
        :: WORKERS > 1 -> run worker(1)
        :: else
        fi;
        run snapshotter()
    }
}

#ifdef FOR_EVER
ltl granted { [] (wants -> <> !wants) }
#endif
