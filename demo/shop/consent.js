/*
 * The banner: asks once, keeps the answer in this browser, tells the data
 * layer.  The gateway's script has put the default there before.
 */

(function () {
    'use strict';

    window.dataLayer = window.dataLayer || [];

    window.gtag = window.gtag || function () {
        window.dataLayer.push(arguments);
    };

    /* ads, analytics */
    const CHOICES = {
        accept: ['granted', 'granted'],
        analytics: ['denied', 'granted'],
        reject: ['denied', 'denied'],
    };

    const LABELS = { accept: 'Accept all', analytics: 'Only analytics',
                     reject: 'Reject all' };

    let banner = null;


    function update(choice) {
        const [ads, analytics] = CHOICES[choice];

        window.gtag('consent', 'update', {
            ad_storage: ads,
            ad_user_data: ads,
            ad_personalization: ads,
            analytics_storage: analytics,
        });

        document.documentElement.dataset.consent = choice;
    }

    function choose(choice) {
        localStorage.setItem('consent', choice);
        update(choice);
        window.gtag('event', 'consent_choice', { choice });

        banner.hidden = true;
        document.getElementById('settings').focus({ preventScroll: true });
    }

    function button(choice) {
        const b = document.createElement('button');

        b.type = 'button';
        b.id = 'consent-' + choice;
        b.textContent = LABELS[choice];
        b.addEventListener('click', () => choose(choice));

        return b;
    }

    function show(stored) {
        for (const choice of Object.keys(CHOICES)) {
            document.getElementById('consent-' + choice)
                    .setAttribute('aria-pressed', choice == stored);
        }

        banner.hidden = false;
    }

    function build() {
        const title = document.createElement('h2');
        const text = document.createElement('p');
        const buttons = document.createElement('div');

        banner = document.createElement('section');
        banner.id = 'banner';
        banner.hidden = true;
        banner.setAttribute('aria-labelledby', 'banner-title');

        title.id = 'banner-title';
        title.textContent = 'Cookies for ads and analytics?';
        text.textContent = 'Whatever you choose, the gateway enforces it: '
                           + 'also where a tag sends more than it may.';

        buttons.className = 'choices';
        buttons.append(...Object.keys(CHOICES).map(button));

        banner.append(title, text, buttons);

        /* where the keyboard comes to it before the page */
        document.querySelector('.skip').after(banner);
    }


    build();

    const stored = localStorage.getItem('consent');

    if (CHOICES[stored]) {
        update(stored);

    } else {
        show(null);
    }

    document.getElementById('settings').addEventListener('click', () => {
        show(localStorage.getItem('consent'));
        document.getElementById('consent-accept').focus();
    });
})();
