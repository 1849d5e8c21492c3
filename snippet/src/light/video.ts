/* Videos: those of the page and, where consent allows, YouTube's. */

import { d } from '../util';
import { granted, Type } from './consent';
import { tell } from './track';
import { on } from './util';

const YOUTUBE = /^https:\/\/www\.youtube(-nocookie)?\.com(\/.*enablejsapi=1|$)/;

/* videos that were told of, and what YouTube's players have said */
const told = new WeakSet();
const said = new WeakMap();

function started(video: object, provider: string, url: string, title: string,
    time: number, length: number): void
{
    if (!told.has(video)) {
        told.add(video);
        tell('video_start', {
            video_provider: provider,
            video_url: url,
            video_title: title,
            video_current_time: Math.round(time),
            video_duration: Math.round(length),
        });
    }
}

/* asks YouTube's frames to tell: no script of theirs is needed */
function listen(): void {
    d.querySelectorAll('iframe').forEach((frame: any) => {
        if (YOUTUBE.test(frame.src) && granted(Type.ANALYTICS)) {
            frame.contentWindow.postMessage('{"event":"listening"}', '*');
        }
    });
}

function heard({ origin, source, data }: any): void {
    if (YOUTUBE.test(origin) && granted(Type.ANALYTICS)) {
        const s = { ...said.get(source), ...JSON.parse(data).info };

        said.set(source, s);

        /* 1 is playing */

        if (s.playerState == 1) {
            started(source, 'youtube', s.videoUrl, s.videoData?.title,
                    s.currentTime, s.duration);
        }
    }
}

export function videos(): void {
    on('playing', ({ target: v }) => {
        if (v.nodeName == 'VIDEO' && !v.loop) {
            started(v, 'html5', v.currentSrc, v.title, v.currentTime,
                    v.duration);
        }
    });

    on('message', heard);

    /* a click into a frame takes the focus from the page */

    on('load blur', listen);
    listen();
}
