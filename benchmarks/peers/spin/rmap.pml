/*
 * The anon_vma root-reference protocol (Linux 2.6.35-mm), for SPIN.
 * One d_step = one shared access; purely local branches cost no step (they are
 * folded into the guard of the step that follows them).
 *
 *   -DVARIANT=0 BEFORE    nobody pins the root
 *   -DVARIANT=1 SEED_V2   fork gets the root; unlink drops root even for the root itself
 *   -DVARIANT=2 MAINLINE  unlink drops root only when root != anon_vma
 *   -DVARIANT=3 FIXED     MAINLINE + page_lock_anon_vma re-checks page_mapped under the
 *                         lock + migration takes its reference under page_lock_anon_vma
 *   -DSCEN=1..5           see ../../README.md
 *   -DFINE                the steps of ../../protocol.py: list_del asks the entry where it is,
 *                         a free puts the memory on a free list
 */
#ifndef VARIANT
#define VARIANT 2
#endif
#ifndef SCEN
#define SCEN 1
#endif
#define BEFORE   0
#define SEED_V2  1
#define MAINLINE 2
#define FIXED    3

#if SCEN==1 || SCEN==2
#define NAV 2
#define NAVC 3
#define NPROC 2
#define OWNER 1          /* process that maps the page, ksmd's target */
#elif SCEN==3 || SCEN==4
#define NAV 3
#define NAVC 6
#define NPROC 3
#define OWNER 2
#else
#define NAV 3
#define NAVC 5
#define NPROC 3
#define OWNER 1
#endif
#if SCEN==1
#define NTHR 3
#elif SCEN==2 || SCEN==3 || SCEN==5
#define NTHR 4
#else
#define NTHR 5
#endif

#define ME (_pid+1)
#define PTE_NONE 0
#define PTE_PRESENT 1
#define PTE_MIGRATION 2

/* anon_vma slab: type-stable; constructor state: ref 0, head empty, lock free */
bit   av_alive[NAV];
byte  av_root[NAV];
short av_ref[NAV];
byte  av_lock[NAV];      /* 0 or 1+pid of the holder; only a root's is ever used */
byte  av_head[NAV];      /* set of avcs */

bit   avc_alive[NAVC];
byte  avc_vma[NAVC];
byte  avc_av[NAVC];

byte  vma_av[NPROC];         /* 1+anon_vma, 0 none */
byte  chain_len[NPROC];      /* vma->anon_vma_chain, newest last */
byte  chain[9];              /* [p*3+i] */
bit   mm_users[NPROC];

byte  pg_mapping;
byte  pg_mapcount;
byte  pte;
byte  ptl;
byte  mmap_sem;              /* of OWNER */
byte  rcu;                   /* 128: migration is in a read-side section; bit x: anon_vma x was
                                freed inside it, so its memory is still type-stable for migration */
byte  done;

#define AV(x)   assert(av_alive[x])                  /* use after free */
#define AVR(x)  assert(av_alive[x] || (rcu & (1<<x)))      /* ditto, type-stable access under RCU */
#define AVC(x)  assert(avc_alive[x])

#ifdef FINE
#define ASK(x) d_step { AVC(x) };
#define PUSH   ; d_step { done = done }
#else
#define ASK(x)
#define PUSH
#endif

inline LOCK(x)   { d_step { (av_lock[x] == 0 || !av_alive[x]) -> AV(x); av_lock[x] = ME } }
inline LOCKR(x)  { d_step { (av_lock[x] == 0) -> AVR(x); av_lock[x] = ME } }
#define UNLOCK_(x) AV(x);  assert(av_lock[x] == ME); av_lock[x] = 0
#define UNLOCKR_(x) AVR(x); assert(av_lock[x] == ME); av_lock[x] = 0
#define DEC_(x)  av_ref[x]--; assert(av_ref[x] >= 0)  /* refcount underflow */
#define FREE_(x) assert(av_alive[x]); av_alive[x] = 0; rcu = ((rcu & 128) -> (rcu | (1<<x)) : rcu)  /* double free */

inline ALLOC_AV(x) {
	d_step { x = 0;
		do :: (x < NAV && av_alive[x]) -> x++ :: else -> break od;
		assert(x < NAV);
		assert(av_ref[x] == 0 && av_head[x] == 0);    /* constructor state */
		av_alive[x] = 1 }
}
inline ALLOC_AVC(x, v, a) {
	d_step { x = 0;
		do :: (x < NAVC && avc_alive[x]) -> x++ :: else -> break od;
		assert(x < NAVC);
		avc_alive[x] = 1; avc_vma[x] = v; avc_av[x] = a }
}

/* drop_anon_vma(da): locals da dr de dlru dre */
#define DROP_RESET da = 0; dr = 0; de = 0; dlru = 0; dre = 0
inline drop_anon_vma() {
	d_step { AV(da); dr = av_root[da] };
	if
	:: d_step { av_ref[da] != 1 -> AV(da); DEC_(da); DROP_RESET }
	:: d_step { av_ref[da] == 1 -> AV(da) };
	   LOCK(dr);
	   if
	   :: d_step { av_ref[da] != 1 -> AV(da); DEC_(da); da = 0 };
	      d_step { UNLOCK_(dr); DROP_RESET }
	   :: d_step { av_ref[da] == 1 -> AV(da); DEC_(da); dr = 0 };
	      d_step { AV(da); dr = av_root[da] };
	      d_step { AV(da); de = (av_head[da] == 0) };
#if VARIANT==BEFORE
	      d_step { AV(da); dr = av_root[da] };
#else
	      if
	      :: d_step { (de && da != dr) -> AV(dr); DEC_(dr); dlru = (av_ref[dr] == 0) };
	         d_step { AV(dr); dre = (av_head[dr] == 0) };
	         d_step { AV(da); dr = av_root[da] }
	      :: d_step { !(de && da != dr) -> AV(da); dr = av_root[da] }
	      fi;
#endif
	      if
	      :: d_step { (de && dlru && dre) -> UNLOCK_(dr); de = 0; dlru = 0; dre = 0 };
	         d_step { FREE_(da); da = 0 } PUSH;
	         d_step { FREE_(dr); DROP_RESET } PUSH
	      :: d_step { (de && !(dlru && dre)) -> UNLOCK_(dr); dr = 0; de = 0; dlru = 0; dre = 0 };
	         d_step { FREE_(da); DROP_RESET } PUSH
	      :: d_step { !de -> UNLOCK_(dr); DROP_RESET }
	      fi
	   fi
	fi
}

/* anon_vma_unlink(avc): locals avc a r e */
inline anon_vma_unlink() {
	d_step { AVC(avc); a = avc_av[avc] };
	d_step { AV(a); r = av_root[a] };
	LOCK(r);
	ASK(avc) d_step { AV(a); AVC(avc); r = 0; assert(av_head[a] & (1<<avc)); av_head[a] = av_head[a] & ~(1<<avc) };
	d_step { AV(a); e = (av_head[a] == 0) };
	if
	:: d_step { e -> AV(a); e = (av_ref[a] == 0) };
	   d_step { AV(a); r = av_root[a] }
	:: d_step { !e -> AV(a); r = av_root[a] }
	fi;
	if
	:: d_step { e -> UNLOCK_(r); e = 0; r = 0 };
#if VARIANT==BEFORE
	   d_step { FREE_(a); a = 0 } PUSH
#elif VARIANT==SEED_V2
	   d_step { AV(a); da = av_root[a] };
	   drop_anon_vma();
	   d_step { FREE_(a); a = 0 } PUSH
#else
	   if
	   :: d_step { av_root[a] != a -> AV(a); da = av_root[a] };
	      drop_anon_vma()
	   :: d_step { av_root[a] == a -> AV(a) }
	   fi;
	   d_step { FREE_(a); a = 0 } PUSH
#endif
	:: d_step { !e -> UNLOCK_(r); r = 0; a = 0 }
	fi
}

inline unlink_anon_vmas(p) {
	do
	:: d_step { chain_len[p] > 0 -> avc = chain[p*3 + chain_len[p] - 1] };
	   anon_vma_unlink();
	   ASK(avc) d_step { AVC(avc); chain_len[p]--; chain[p*3 + chain_len[p]] = 0 };
	   d_step { AVC(avc); avc_alive[avc] = 0; avc_vma[avc] = 0; avc_av[avc] = 0; avc = 0 } PUSH
	:: d_step { chain_len[p] == 0 -> skip } -> break
	od
}

inline exit_mm(p) { d_step { mm_users[p] = 0 } }

inline exit_page() {                           /* ksm_exit and the page-table zap of the page's owner */
	d_step { mmap_sem == 0 -> mmap_sem = ME };
	d_step { assert(mmap_sem == ME); mmap_sem = 0 };
	d_step { ptl == 0 -> ptl = ME };
	if
	:: d_step { pte == PTE_PRESENT -> skip };
	   d_step { pte = PTE_NONE };
	   d_step { assert(pg_mapcount > 0); pg_mapcount-- }
	:: d_step { pte != PTE_PRESENT -> skip };
	   d_step { pte = PTE_NONE }
	fi;
	d_step { assert(ptl == ME); ptl = 0 }
}

inline anon_vma_chain_link(v) {                /* avc n, anon_vma a of vma v; n's fields are set by the allocation */
	d_step { AVC(n); chain[v*3 + chain_len[v]] = n; chain_len[v]++ };
	d_step { AV(a); r = av_root[a] };
	LOCK(r);
	d_step { AV(a); AVC(n); r = 0; av_head[a] = av_head[a] | (1<<n); n = 0 };
	d_step { AV(a); r = av_root[a]; a = 0 };
	d_step { UNLOCK_(r); r = 0 }
}

inline anon_vma_prepare(p) {
	d_step { vma_av[p] == 0 -> skip };
	ALLOC_AV(a);
	ALLOC_AVC(n, p, a);
	d_step { av_root[a] = a };
	d_step { vma_av[p] = a + 1 };
	anon_vma_chain_link(p)
}

inline anon_vma_fork(c, p) {
	d_step { vma_av[p] != 0 -> mm_users[c] = 1 };
	do                                     /* anon_vma_clone: oldest first */
	:: d_step { i < chain_len[p] -> avc = chain[p*3 + i]; i++ };
	   d_step { AVC(avc); a = avc_av[avc]; avc = 0 };
	   ALLOC_AVC(n, c, a);
	   anon_vma_chain_link(c)
	:: d_step { i == chain_len[p] -> i = 0 } -> break
	od;
	ALLOC_AV(a);
	ALLOC_AVC(n, c, a);
	d_step { b = vma_av[p] - 1 };
	d_step { AV(b); r = av_root[b]; b = 0 };
	d_step { AV(a); av_root[a] = r };
#if VARIANT!=BEFORE
	d_step { AV(r); av_ref[r]++; r = 0 };
#endif
	d_step { vma_av[c] = a + 1; r = 0 };
	anon_vma_chain_link(c)
}

inline thread_done() {
	d_step { done++;
		if
		:: done == NTHR ->
			i = 0;
			do
			:: i < NAV ->
				assert(!av_alive[i]);            /* leaked anon_vma */
				assert(av_ref[i] == 0 && av_head[i] == 0 && av_lock[i] == 0);
				i++
			:: else -> break
			od;
			i = 0;
			do
			:: i < NAVC -> assert(!avc_alive[i]); i++   /* leaked avc */
			:: else -> break
			od;
			i = 0
		:: else -> skip
		fi };
end_of_thread:	(0)
}

#define LOCALS byte i, n, avc, a, b, r, da, dr; bit e, de, dlru, dre

proctype cpu_exit(byte p) {
	LOCALS;
	if
	:: d_step { p == OWNER -> mm_users[p] = 0 };
	   exit_page();
	   unlink_anon_vmas(p)
	:: d_step { p != OWNER -> mm_users[p] = 0 };
	   unlink_anon_vmas(p)
	fi;
	thread_done()
}

#if SCEN==5
proctype cpu_fork_exit() {
	LOCALS;
	anon_vma_fork(2, 0);
	exit_mm(0); unlink_anon_vmas(0);
	exit_mm(2); unlink_anon_vmas(2);
	thread_done()
}
#endif

proctype cpu_ksmd() {
	byte i, a, da, dr; bit de, dlru, dre;
	d_step { mmap_sem == 0 -> mmap_sem = ME };
	if
	:: d_step { mm_users[OWNER] == 0 -> skip };
	   d_step { assert(mmap_sem == ME); mmap_sem = 0 }
	:: d_step { mm_users[OWNER] != 0 -> skip };
	   d_step { da = vma_av[OWNER] - 1 };
	   d_step { AV(da); av_ref[da]++ };
	   d_step { assert(mmap_sem == ME); mmap_sem = 0 };
	   drop_anon_vma()
	fi;
	thread_done()
}

#define RCU_UNLOCK_ rcu = 0

#define LOWBIT(x) (((x)&1) -> 0 : (((x)&2) -> 1 : (((x)&4) -> 2 : (((x)&8) -> 3 : (((x)&16) -> 4 : 5)))))
/* the rmap walk under the lock: every avc on b's list, FROM -> TO, mapcount += D */
inline walk_and_unlock(FROM, TO, DELTA) {
	do
	:: d_step { (av_head[b] >> cur) != 0 -> AV(b);
		cur = cur + LOWBIT(av_head[b] >> cur);
		AVC(cur); assert(avc_vma[cur] == OWNER); cur++ };
	   d_step { ptl == 0 -> ptl = ME };
	   if
	   :: d_step { pte == FROM -> skip };
	      d_step { pte = TO };
	      d_step { pg_mapcount = pg_mapcount + DELTA }
	   :: d_step { pte != FROM -> skip }
	   fi;
	   d_step { assert(ptl == ME); ptl = 0 }
	:: d_step { (av_head[b] >> cur) == 0 -> AV(b); cur = 0 };
	   /* inside the loop because SPIN refuses a break whose target is a d_step */
	   d_step { AV(b); r = av_root[b]; b = 0 };
	   d_step { UNLOCK_(r); r = 0 } -> break
	od
}

inline try_to_unmap() {
	d_step { b = pg_mapping };
	if
	:: d_step { pg_mapcount == 0 -> b = 0 }
	:: d_step { pg_mapcount != 0 -> skip };
	   d_step { AVR(b); r = av_root[b] };
	   LOCKR(r);
#if VARIANT==FIXED
	   if
	   :: d_step { pg_mapcount == 0 -> b = 0 };
	      d_step { UNLOCKR_(r); r = 0 }
	   :: d_step { pg_mapcount != 0 -> r = 0 };
	      walk_and_unlock(PTE_PRESENT, PTE_MIGRATION, -1)
	   fi
#else
	   walk_and_unlock(PTE_PRESENT, PTE_MIGRATION, -1)
#endif
	fi
}

inline move_and_remap() {
	if
	:: d_step { pg_mapcount != 0 -> skip }
	:: d_step { pg_mapcount == 0 -> skip };
	   d_step { b = pg_mapping };
	   d_step { AV(b); r = av_root[b] };
	   LOCK(r);
	   walk_and_unlock(PTE_MIGRATION, PTE_PRESENT, 1)
	fi
}

#if SCEN==2 || SCEN==4 || SCEN==5
proctype cpu_migrate() {
	byte i, b, r, cur, da, dr; bit de, dlru, dre;
	d_step { rcu = 128 };
#if VARIANT==FIXED
	d_step { da = pg_mapping };
	if
	:: d_step { pg_mapcount == 0 -> da = 0 }; goto mrel
	:: d_step { pg_mapcount != 0 -> skip };
	   d_step { AVR(da); r = av_root[da] };
	   LOCKR(r);
	   if
	   :: d_step { pg_mapcount == 0 -> da = 0 };
	      d_step { UNLOCKR_(r); r = 0 };
mrel:	      RCU_UNLOCK_
	   :: d_step { pg_mapcount != 0 -> r = 0 };
	      d_step { AV(da); av_ref[da]++ };
	      d_step { AV(da); r = av_root[da] };
	      d_step { UNLOCK_(r); r = 0 };
	      d_step { RCU_UNLOCK_ };
	      d_step { rcu = 128 };
	      try_to_unmap();
	      RCU_UNLOCK_;                 /* not a d_step: a break lands here */
	      move_and_remap();
	      drop_anon_vma()
	   fi
	fi;
#else
	if
	:: d_step { pg_mapcount == 0 -> skip }
	:: d_step { pg_mapcount != 0 -> skip };
	   d_step { da = pg_mapping };
	   d_step { AV(da); av_ref[da]++ };
	   try_to_unmap();
	   move_and_remap();
	   drop_anon_vma()
	fi;
	d_step { RCU_UNLOCK_ };
#endif
	thread_done()
}
#endif

init {
	LOCALS;
	mm_users[0] = 1;
	anon_vma_prepare(0);
	anon_vma_fork(1, 0);
#if SCEN==3 || SCEN==4
	anon_vma_fork(2, 1);
#endif
	d_step { pg_mapping = vma_av[OWNER] - 1; pg_mapcount = 1; pte = PTE_PRESENT };
	atomic {
#if SCEN==5
		run cpu_fork_exit();
#else
		run cpu_exit(0);
#endif
		run cpu_exit(1);
#if SCEN==3 || SCEN==4
		run cpu_exit(2);
#endif
		run cpu_ksmd();
#if SCEN==2 || SCEN==4 || SCEN==5
		run cpu_migrate()
#endif
	}
}
