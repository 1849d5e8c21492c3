/*
 * The shop: a list, a product, a cart, and the events that a shop tells its
 * tag.  consent.js has made gtag().
 */

(function () {
    'use strict';

    const GOODS = {
        pot: { name: 'Cast-iron teapot', price: 48, kind: 'Pots',
               text: 'Holds 0.8 litres and keeps them warm for an hour.' },
        cup: { name: 'Stoneware cup', price: 14.5, kind: 'Cups',
               text: 'Without a handle, for both hands.' },
        tin: { name: 'Sencha, 100 g', price: 12.9, kind: 'Tea',
               text: 'First harvest, in a tin that closes.' },
        whisk: { name: 'Bamboo whisk', price: 19, kind: 'Tools',
                 text: 'Eighty bristles, cut by hand.' },
    };

    const gtag = window.gtag;


    function $(id) {
        return document.getElementById(id);
    }

    function money(value) {
        return '€ ' + value.toFixed(2);
    }

    function element(name, props, ...children) {
        const e = Object.assign(document.createElement(name), props);

        e.append(...children);

        return e;
    }

    function stored(name, otherwise) {
        try {
            return JSON.parse(sessionStorage.getItem(name)) || otherwise;

        } catch (e) {
            return otherwise;
        }
    }

    function store(name, value) {
        sessionStorage.setItem(name, JSON.stringify(value));
    }

    function item(id, quantity) {
        const g = GOODS[id];

        return { item_id: id, item_name: g.name, item_category: g.kind,
                 price: g.price, quantity };
    }

    function order(cart) {
        const items = Object.keys(cart).filter((id) => GOODS[id])
                            .map((id) => item(id, cart[id]));

        const value = items.reduce((sum, i) => sum + i.price * i.quantity, 0);

        return { currency: 'EUR', value: Math.round(value * 100) / 100,
                 items };
    }

    function countCart() {
        const cart = stored('cart', {});
        const n = Object.values(cart).reduce((sum, q) => sum + q, 0);

        $('count').textContent = n || '';
        $('count').hidden = !n;
    }


    const pages = {

        home() {
            for (const id of Object.keys(GOODS)) {
                const g = GOODS[id];

                $('list').append(element('li', {},
                    element('a', { href: '/product.html?item=' + id },
                        element('img', { src: '/img/' + id + '.svg', alt: '',
                                         width: 200, height: 200 }),
                        element('span', { className: 'name',
                                          textContent: g.name }),
                        element('span', { className: 'price',
                                          textContent: money(g.price) }))));
            }

            gtag('event', 'view_promotion', { promotion_name: 'every day' });
            gtag('event', 'view_item_list', {
                item_list_name: 'home',
                items: Object.keys(GOODS).map((id) => item(id, 1)),
            });
        },

        product() {
            const asked = new URLSearchParams(location.search).get('item');
            const id = Object.keys(GOODS).includes(asked) ? asked : 'pot';
            const g = GOODS[id];
            const one = order({ [id]: 1 });

            $('picture').src = '/img/' + id + '.svg';
            $('picture').alt = g.name;
            $('name').textContent = g.name;
            document.title = g.name + ' - Leaf & Kettle';
            $('price').textContent = money(g.price);
            $('text').textContent = g.text;

            gtag('event', 'view_item', one);

            $('add').addEventListener('click', () => {
                const cart = stored('cart', {});

                cart[id] = (cart[id] || 0) + 1;
                store('cart', cart);
                countCart();

                gtag('event', 'add_to_cart', one);

                $('added').replaceChildren('In your cart: ' + cart[id] + '. ',
                    element('a', { href: '/cart.html',
                                   textContent: 'Go to the cart' }));
            });
        },

        cart() {
            const cart = order(stored('cart', {}));

            if (!cart.items.length) {
                $('empty').hidden = false;
                return;
            }

            for (const i of cart.items) {
                $('lines').append(element('tr', {},
                    element('td', { textContent: i.item_name }),
                    element('td', { textContent: i.quantity }),
                    element('td', { textContent:
                                    money(i.price * i.quantity) })));
            }

            $('total').textContent = money(cart.value);
            $('order').hidden = false;

            gtag('event', 'view_cart', cart);

            $('order').addEventListener('submit', (e) => {
                e.preventDefault();

                const id = 'T-' + Date.now().toString(36).toUpperCase();

                store('order', Object.assign(cart, {
                    transaction_id: id, email: $('email').value,
                }));

                location.href = '/thanks.html';
            });
        },

        /* once an order, however often the page is loaded */

        thanks() {
            const { email, ...purchase } = stored('order', {});

            if (!purchase.transaction_id) {
                return;
            }

            $('receipt').textContent = 'Your order '
                + purchase.transaction_id + ' over ' + money(purchase.value)
                + ' is on its way.';

            gtag('set', 'user_data', { email });
            gtag('event', 'purchase', purchase);

            store('order', null);
            store('cart', null);
        },
    };


    pages[document.body.dataset.page]();
    countCart();
})();
