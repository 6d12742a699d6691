/** Who is in the room, kept up from the join reply and the presence events. DOM-free. */
export class People {
  #members = new Map();
  #count = 0;
  counted = false;
  me = null;

  get count() {
    return Math.max(this.#count, this.#members.size);
  }

  /** The person oneself first, then by name. */
  list() {
    return [...this.#members.values()].sort((a, b) => {
      if (a.user === this.me || b.user === this.me) return a.user === this.me ? -1 : 1;
      return displayName(a).localeCompare(displayName(b));
    });
  }

  get(user) {
    return this.#members.get(user);
  }

  reset(me, { members = [], count, presence }) {
    this.me = me.user;
    this.counted = presence === 'counted';
    this.#members = new Map(members.map((m) => [m.user, m]));
    if (!this.#members.has(me.user)) this.#members.set(me.user, { ...me, status: 'online' });
    this.#count = count ?? this.#members.size;
  }

  add(members) {
    for (const member of members) this.#members.set(member.user, { ...this.#members.get(member.user), ...member });
  }

  /** Applies an event; returns `{came, left}` (members) if it is one of presence, else null. */
  apply(type, body) {
    if (!body || typeof body !== 'object') return null;
    switch (type) {
      case 'user_joined': return this.#joined(body);
      case 'user_left': return this.#left(body);
      case 'user_updated': return this.#updated(body.user, body);
      case 'presence_status_changed': return this.#updated(body.user_id, { status: body.status, text: body.text });
      case 'members': return this.#bulk(body);
      default: return null;
    }
  }

  #joined(body) {
    const known = this.#members.has(body.user);
    this.#members.set(body.user, { status: 'online', ...this.#members.get(body.user), ...body });
    if (!known) this.#count += 1;
    return { came: known || body.user === this.me ? [] : [body], left: [] };
  }

  #left(body) {
    if (body.user === this.me) return { came: [], left: [] };
    const member = this.#members.get(body.user);
    if (this.#members.delete(body.user)) this.#count -= 1;
    return { came: [], left: member ? [{ ...member, reason: body.reason }] : [] };
  }

  #updated(user, change) {
    const member = this.#members.get(user);
    if (member) this.#members.set(user, { ...member, ...change, user });
    return { came: [], left: [] };
  }

  #bulk({ count, joined = [], left = [], reset, members }) {
    if (reset) {
      const me = this.#members.get(this.me) ?? { user: this.me };
      this.reset(me, { members: members ?? joined, count, presence: count > 200 ? 'counted' : 'each' });
      return { came: [], left: [] };
    }
    const as = (entry) => (typeof entry === 'string' ? { user: entry } : entry);
    this.counted = true;
    this.add(joined.map(as));
    for (const { user } of left.map(as)) if (user !== this.me) this.#members.delete(user);
    this.#count = count ?? this.#count;
    return { came: [], left: [] };
  }
}

export function displayName({ user = '', name } = {}) {
  if (name) return name;
  return user.startsWith('guest:') ? `guest ${user.slice(6, 10)}` : user || 'someone';
}
