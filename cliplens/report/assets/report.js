
'use strict';
(() => {
  const tools = document.querySelector('.tools');
  const rows = [...document.querySelectorAll('.glance tbody tr')];
  if (!tools || rows.length < 2) return;
  const heads = rows.map((row, place) => {
    const card = document.getElementById(row.dataset.head);
    const words = [row.dataset.head, ...[...card.querySelectorAll('.texts .text')].map(
        (cell) => cell.textContent)].join('\n').toLowerCase();
    return {row, card, words, share: place, layer: +card.dataset.place,
            explained: -card.dataset.explained};
  });
  const find = document.getElementById('find');
  const order = document.getElementById('order');
  const found = document.getElementById('found');

  const filter = () => {
    const wanted = find.value.trim().toLowerCase();
    let shown = 0;
    for (const head of heads) {
      const hit = head.words.includes(wanted);
      head.row.hidden = head.card.hidden = !hit;
      shown += hit;
    }
    found.textContent = wanted ? `${shown} of ${heads.length} heads` : '';
  };
  const sort = () => {
    const key = order.value;
    for (const head of [...heads].sort((a, b) => a[key] - b[key] || a.share - b.share)) {
      head.row.parentNode.append(head.row);
      head.card.parentNode.append(head.card);
    }
  };
  // A cell of the map may lead to a head that the filter hides.
  const reveal = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target && target.hidden) {
      find.value = '';
      filter();
      target.scrollIntoView();
    }
  };
  find.addEventListener('input', filter);
  order.addEventListener('change', sort);
  addEventListener('hashchange', reveal);
  tools.hidden = false;
})();
