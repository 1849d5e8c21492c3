/*
 * t.js, starter: loads the tenant's GTM container or Google tag from Google's
 * own hosts.
 *
 *     <script async src="/metrics/t.js"></script>
 */

import { c } from '../settings';
import { begin, GOOGLE, path } from './begin';
import { load } from './load';
import { isCommand, mode, route, whenGranted } from './queue';

if (begin()) {
    route((entry) =>
        isCommand(entry, 'event') && c.e?.[entry[1]] == 'off' ? [] : [entry]);

    whenGranted(mode == 'basic', () => load(GOOGLE + path));
}
