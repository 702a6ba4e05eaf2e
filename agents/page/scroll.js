// A list that shows its end as it grows, until one scrolls away from it.

const NEAR_PX = 40;

export class Scroll {
  #list;
  #follows = true;

  constructor(list) {
    this.#list = list;
    list.addEventListener("scroll", () => {
      this.#follows = list.scrollTop + list.clientHeight >= list.scrollHeight - NEAR_PX;
    });
    window.addEventListener("resize", () => this.follow());
  }

  follow() {
    if (this.#follows) this.#list.scrollTop = this.#list.scrollHeight;
  }

  reset() {
    this.#follows = true;
  }
}
