/* The page's globals, and running code that must not be noticed there. */

export type Run = (...args: any[]) => any;

export const w: any = window;
export const d: any = document;

/* whatever a page did to its globals, it must not see an error of ours */
export const safe = (run: Run): Run => (...args) => {
    try {
        return run(...args);

    } catch (e) {
        /* as if we were not there */
    }
};
