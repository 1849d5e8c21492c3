
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Generated from snippet/ by "npm run build" there: not to be edited.
 *
 * The script t.js, before and after the tenant's settings.
 */


#ifndef _NGX_HTTP_SGTM_SNIPPET_H_INCLUDED_
#define _NGX_HTTP_SGTM_SNIPPET_H_INCLUDED_


static ngx_str_t  ngx_http_sgtm_snippet_head[] = {
    ngx_string(
        "\"use strict\";(()=>{var b=/^GTM-[A-Z0-9]{4,20}$/,_=/^(G|GT|AW|DC)-"
        "[A-Z0-9]{4,20}$/,G=/^[A-Za-z_]\\w{0,63}$/;function m(t,n){return t&"
        "&n.test(t)\?t:\"\"}function f(t,n,o){return m(t&&t.getAttribute(\"d"
        "ata-\"+n),o)}function k(t,n,o){let e=f(n,\"container\",b),r=f(n,\"t"
        "ag-id\",_);!e&&!r&&(e=m(o.container,b),r=m(o.tag,_));let i=!!e;if(r"
        "=e||r,!r)return;let s=String(n==null\?void 0:n.src).split(/[\?#]/)["
        "0],a=/^https\?:/.test(s)&&s.endsWith(\"/\"+o.script)&&s.slice(0,-o."
        "script.length),u=f(n,\"layer\",G),c=t[u],l=u&&(c===void 0||Array.is"
        "Array(c))\?u:\"dataLayer\";return{base:a||t.location.origin+o.prefi"
        "x.replace(/^\\/*/,\"/\"),id:r,path:(i\?\"gtm.js\":\"gtag/js\")+\"\?"
        "id=\"+r+(l!=\"dataLayer\"\?\"&l=\"+l:\"\"),layer:l,gtm:i}}var C=500"
        ";function T(t){return Object.prototype.toString.call(t)==\"[object "
        "Arguments]\"&&t[0]==\"consent\"}function v(t,n,o){let e=f(n,\"conse"
        "nt\",/^[a-z_=,; ]+$/);if(e==\"off\"||t.some(i=>T(i)&&i[1]==\"defaul"
        "t\"))return;let r=o.consent.mode==\"off\"\?{}:o.consent.default;for"
        "(let i of e.split(/[,; ]+/)){let[s,a]=i.split(\"=\");(a==\"granted"
        "\"||a==\"denied\")&&(r[s]=a)}if(Object.keys(r).length)return r.wait"
        "_for_update=+f(n,\"wait\",/^\\d{1,5}$/)||C,r}function E(t){let n=!1"
        ";for(let o of t){let e=T(o)&&o[2];e&&e.analytics_storage&&!e.region"
        "&&(n=e.analytics_storage==\"granted\")}return n}function x(t,n){if("
        "E(t)){n();return}let o=t.push,e=!0;t.push=function(...r){let i=o.ap"
        "ply(t,r);return e&&E(t)&&(e=!1,n()),i}}var d;function L(t,n){if(d=="
        "=void 0){d=null;try{d=t.trustedTypes.createPolicy(\"sgtm\",{createS"
        "criptURL:o=>o})}catch(o){}}return d\?d.createScriptURL(n):n}functio"
        "n y(t,n,o,e){let r=t.document,i=r.createElement(\"script\"),s=n&&n."
        "nonce;s&&(i.nonce=s),e&&(i.onerror=e),i.async=!0,i.src=L(t,o),(r.he"
        "ad||r.documentElement).appendChild(i)}var R=\"https://www.googletag"
        "manager.com/\";function w(t){return()=>{try{t()}catch(n){}}}functio"
        "n g(...t){return arguments}function j(t,n,o,e){let r=n\?[n].concat("
        "o):o;if(e){r.forEach(s=>t.push(s));return}let i=t.findIndex(s=>s&&("
        "s.event||s[0]==\"event\"||s[0]==\"config\"));t.splice(i<0\?t.length"
        ":i,0,...o),n&&t.unshift(n)}function I(t){let n=window,o=document.cu"
        "rrentScript,e=k(n,o,t);if(!e)return;let r=n.google_tag_manager||{},"
        "i=n._sgtm=n._sgtm||{},s=n[e.layer]=n[e.layer]||[];if(i[e.id]||r[e.i"
        "d])return;i[e.id]=1,n.gtag=n.gtag||function(){s.push(arguments)};le"
        "t a=t.tier==\"starter\",u=e.base.slice(0,-1),c=a\?{}:{server_contai"
        "ner_url:u,transport_url:u,first_party_collection:!0},l=v(s,o,t),p=["
        "];a||p.push(c,g(\"set\",c)),e.gtm||p.push(g(\"js\",new Date),g(\"co"
        "nfig\",e.id,c)),j(s,l&&g(\"consent\",\"default\",l),p,r[e.layer]),e"
        ".gtm&&s.push({\"gtm.start\":Date.now(),event:\"gtm.js\"});let h=w(("
        ")=>{for(let A of Object.keys(c))delete c[A];let S=w(()=>y(n,o,R+e.p"
        "ath));t.consent.mode==\"basic\"\?x(s,S):S()});a\?h():y(n,o,e.base+e"
        ".path,t.tier==\"professional\"&&t.fallback==\"client\"\?h:void 0)}w"
        "(()=>I("),
    ngx_null_string
};


static ngx_str_t  ngx_http_sgtm_snippet_tail[] = {
    ngx_string(
        "))();})();"),
    ngx_null_string
};


#endif /* _NGX_HTTP_SGTM_SNIPPET_H_INCLUDED_ */
