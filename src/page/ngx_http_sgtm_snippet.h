
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Generated from snippet/ by "npm run build" there: not to be edited.
 *
 * The script t.js in its variants, each before and after the tenant's
 * settings, in parts; an empty part is the last.
 */


#ifndef _NGX_HTTP_SGTM_SNIPPET_H_INCLUDED_
#define _NGX_HTTP_SGTM_SNIPPET_H_INCLUDED_


#define NGX_HTTP_SGTM_SNIPPET_LIGHT    0
#define NGX_HTTP_SGTM_SNIPPET_LOADER   1
#define NGX_HTTP_SGTM_SNIPPET_STARTER  2


typedef struct {
    ngx_str_t   name;
    ngx_str_t  *head;
    ngx_str_t  *tail;
} ngx_http_sgtm_snippet_t;


static ngx_str_t  ngx_http_sgtm_snippet_light_head[] = {
    ngx_string(
        "try{($s=>{var e=window,t=document,n=e=>(...t)=>{try{return e(...t)}"
        "catch{}},i=$s,a=[\"ad_storage\",\"analytics_storage\",\"ad_user_dat"
        "a\",\"ad_personalization\"],r=t.currentScript,o=e=>r\?.getAttribute"
        "(\"data-\"+e)||\"\",s=e=>e.split(/[,; ]+/).map(e=>e.split(\"=\")),c"
        "=(e,t)=>o(t)||i[e],l=[o(\"tag-id\"),i.i].find(e=>/^G-[A-Z0-9]{4,20}"
        "$/.test(e))||\"\",d=function(){let t=o(\"layer\");return/^[a-z_]\\w"
        "*$/i.test(t)&&Array.isArray(e[t]\?\?[])\?t:\"dataLayer\"}(),u=e[d]|"
        "|=[],p=()=>Date.now(),g=e=>new Map(s(e)),m=e=>encodeURIComponent(St"
        "ring(e).replace(/[\\ud800-\\udfff]/gu,\"\")),_=e=>Object.entries(e)"
        ".filter(e=>\"\"!==(e[1]\?\?\"\")).map(e=>e.map(m).join(\"=\")).join"
        "(\"&\"),f=()=>crypto.randomUUID\?.()||URL.createObjectURL(new Blob)"
        ".slice(-36),h=(e,t)=>e.split(\" \").forEach(e=>addEventListener(e,n"
        "(t),!0)),v=(e,t)=>setTimeout(n(e),t),w=[\"unset\",\"denied\",\"gran"
        "ted\"],y=[0,0,0,0],b=[0,0,0,0],S=[0,0,0,0],x=o(\"region\")+\"-\",k="
        "c(\"c\",\"mode\"),$=0,j=!!navigator.globalPrivacyControl,E=e=>j&&1!"
        "=e\?1:b[e],O=e=>E(e)||y[e],L=e=>1!=O(e);function M(e,t){let n=b.joi"
        "n()+j,i=\"update\"==e;return j||=\"object\"==e,a.forEach((e,n)=>{le"
        "t a=w.indexOf(t[e]),r=((e,t)=>e\?Math.max(0,...[].concat(e).map(e=>"
        "\"-\"!=x\?x.startsWith(e+\"-\")\?e.length:0:t\?2:0)):1)(t.region,1="
        "=a);a>0&&(i\?b[n]=a:r&&r>=S[n]&&(S[n]=r,y[n]=a))}),$=i\?0:Math.max("
        "$,p()+Math.min(t.wait_for_update||0,1e4)),n!=b.join()+j}var A={},T="
        "t=>e[\"_sgtm_q\"==t\?\"localStorage\":\"sessionStorage\"],q=n(e=>JS"
        "ON.parse(T(e).getItem(e))),U=n((e,t)=>(T(e)[t\?\"setItem\":\"remove"
        "Item\"](e,JSON.stringify(t)),!0)),z=n(e=>(\"; \"+t.cookie).split(`;"
        " ${e}=`)[1]\?.split(\";\")[0]),I=e=>z(e)||A[e]||\"\",R=n((e,n)=>{le"
        "t i=location.hostname.split(\".\"),a=i.map((e,t)=>i.slice(~t).join("
        "\".\"));A[e]=n,[...a,\"\"].some(i=>(t.cookie=`${e}=${n};path=/;same"
        "site=lax;max-age=`+(n\?63072e3:0)+(i\?\";domain=\"+i:\"\")+(\"https"
        ":\"==location.protocol\?\";secure\":\"\"),n&&z(e)==n))}),C=\"_ga_\""
        "+l.slice(2),D=/^(\\w*clk\?id|[gw]braid|gad_\\w+|srsltid|li_fat_id|_"
        "gl)=/i,N=g(\"utm_source=cs utm_medium=cm utm_campaign=cn utm_term=c"
        "k utm_content=cc\"),P=()=>p()/1e3|0,W=new URLSearchParams(location."
        "search),G=!1,H=0,J=0,V={cid:f(),sid:P()},Z={n:0,c:{},x:{},r:\"\",d:"
        "0,e:0,t:0},B={...Z},F=()=>{L(1)&&U(\"_sgtm\",B)};function Y(){if(!G"
        "&&L(1)){let e=q(\"_sgtm\")||Z;G=!0,J=e.n,B={...e,t:B.t||e.t}}}funct"
        "ion K(e){return Y(),P()-B.t>1800&&(J=-H,B.e=0),B.t=P(),H+=e,B.n=J+H"
        ",H}var Q,X,ee=function(){let e=(r\?.src+\"\").split(/[\?#]/)[0];ret"
        "urn/^https\?:/.test(e)&&e.endsWith(\"/\"+i.s)\?e.slice(0,-i.s.lengt"
        "h):location.origin+i.p.replace(/^\\/*/,\"/\")}(),te=!i.r||\"any\"=="
        "i.r,ne=te&&\"starter\"==c(\"t\",\"tier\"),ie=te&&\"client\"==c(\"f"
        "\",\"fallback\"),ae=[],re=0,oe=0,se=()=>!1!==navigator.onLine,ce=()"
        "=>L(1),le=e=>e.w\?2==e.w:ne||ie&&p()<B.d&&ce(),de=e=>(le(e)\?\"http"
        "s://www.google-analytics.com/\":ee)+\"g/collect\?\"+e.q,ue=()=>ae.c"
        "oncat(ce()&&q(\"_sgtm_q\")||[]).filter(e=>e\?.b&&p()-e.t<2592e5);fu"
        "nction pe(e){for(;e.length>50||JSON.stringify(e).length>1e5;)e.shif"
        "t();ae=ce()&&U(\"_sgtm_q\",e[0]&&e)\?[]:e}function ge(e){pe([...ue("
        "),e]),clearTimeout(Q),Q=v(me,Math.min(2**oe,300)*(500+1e3*Math.rand"
        "om()))}function me(){let[e,...t]=ue();e&&(pe(t),fe(e))}var _e=n((e,"
        "t)=>{if(200==t)return oe=0,void v(me,100);!t&&X&&!oe&&se()||(oe++,!"
        "ie||e.w||!ce()||le(e)||503!=t&&t\?/^4(\?!08|29)/.test(\"\"+t)||(e.w"
        "||=+(t<0),ge(e)):(B.d=p()+6e4,F(),fe(e)))});async function fe(e){le"
        "t t=e.b.length,n=le(e),i=0;re+=t;try{let t=await fetch(de(e),{metho"
        "d:\"POST\",body:e.b,keepalive:re<6e4,credentials:\"include\",mode:n"
        "\?\"no-cors\":\"cors\",signal:AbortSignal.timeout\?.(1e4)});i=n||t."
        "ok\?200:t.status}catch(e){i=-(\"TimeoutError\"==e.name)}re-=t,_e(e,"
        "i)}function he(){Y(),h(\"online pagehide pageshow\",e=>{(X=\"pagehi"
        "de\"==e.type)||me()}),v(me,2e3*Math.random())}var ve,we=0,ye=0,be=0"
        ";function Se(e){let n=p(),i=be&&n-be;we+=i,ye+=i,be=\"visible\"==t."
        "visibilityState&&t.hasFocus()\?n:0,clearTimeout(ve),ye>=1e4\?(ye=-1"
        "/0,v(pt,0)):be&&ye>=0&&(ve=v(Se,1e4-ye));let a=we;return!0===e&&(we"
        "=0),a}var xe=g(\"architecture=uaa bitness=uab fullVersionList=uafvl"
        " mobile=uamb model=uam platform=uap platformVersion=uapv wow64=uaw"
        "\"),ke=e.Temporal\?.Now.timeZoneId()||Intl.DateTimeFormat().resolve"
        "dOptions().timeZone,$e=e=>({ul:navigator.language\?.toLowerCase(),s"),
    ngx_string(
        "r:screen.width+\"x\"+screen.height,\"ep.viewport_size\":innerWidth+"
        "\"x\"+innerHeight,\"epn.device_pixel_ratio\":devicePixelRatio,\"ep."
        "timezone\":ke,\"ep.script_version\":\"0.1.0\",...L(1)\?e:{}}),je=g("
        "\"page_location=dl page_referrer=dr page_title=dt currency=cu user_"
        "id=uid\"),Ee=g(\"item_id=id item_name=nm item_brand=br item_categor"
        "y=ca item_category2=c2 item_category3=c3 item_category4=c4 item_cat"
        "egory5=c5 item_variant=va price=pr quantity=qt coupon=cp discount=d"
        "s item_list_name=ln item_list_id=li index=lp location_id=lo affilia"
        "tion=af promotion_id=pi promotion_name=pn creative_name=cn creative"
        "_slot=cs\"),Oe=/^(event(_\?timeout)\?$|send_|groups$|transport_|ser"
        "ver_|first_|cookie_|gtm\\.|_)/i;function Le(e,t){Object.keys(e||{})"
        ".forEach(n=>{let i=e[n];/^[bns]/.test(typeof i)&&t(n,i,String(i).sl"
        "ice(0,500))})}function Me(e,t=\"ep\"){let n={};return Le(e,(e,i,a)="
        ">{Oe.test(e)||(n[\"ep\"==t&&je.get(e)||t+(\"number\"==typeof i\?\"n"
        ".\":\".\")+e]=a)}),[].concat(e\?.items||[]).slice(0,200).forEach((e"
        ",t)=>{n[\"pr\"+(t+1)]=function(e){let t=[],n=0;return Le(e,(e,i,a)="
        ">{a=a.replace(/~/g,\"~~\"),t.push((Ee.get(e)||`k${n}${e}~v${n++}`)+"
        "a)}),t.join(\"~\")}(e)}),n}var Ae,Te=[\"\",\"server\",\"client\",\""
        "both\"],qe=[],Ue=0,ze=p()%1e9,Ie=0,Re={},Ce={},De={},Ne={},Pe={l:\""
        "\",r:t.referrer},We=new Map([...g(o(\"events\")),...Object.entries("
        "i.e||{})]);async function Ge(e,t){Ue++;try{Object.assign(t,await e)"
        "}catch{}Ue--}function He(e,n){!e||!/^[a-z]\\w{0,39}$/i.test(e)||\"o"
        "ff\"==We.get(e)||(qe.push({n:e,v:K(+(\"page_view\"==e)),w:{dl:Pe.l,"
        "dr:Pe.r,dt:t.title,_et:Se(!0)||\"\",...Me({...Re,...n}),\"epn.event"
        "_timestamp\":p()}}),qe.splice(0,qe.length-100),Ae||=v(Ve,1e3))}var "
        "Je=e=>(L(0)\?e:e.replace(/([\?#])([^\?#]*)/g,(e,t,n)=>(n=n.split(\""
        "&\").filter(e=>!D.test(e+\"=\")).join(\"&\"))&&t+n)).slice(0,1e3);f"
        "unction Ve(e=0){let t=$-p();if(clearTimeout(Ae),Ae=0,!qe[0]||\"basi"
        "c\"==k&&!L(1))return;if(!e&&(t>0||Ue))return void(Ae=v(Ve,Math.max("
        "t,50)));let n,i=L(2),[r,o]=function(){let e={},t={},n=P();if(!L(1))"
        "return[V,e];Y(),W.forEach((e,n)=>{let i=N.get(n);i\?(t[i]=e.slice(0"
        ",100),B.c=t):L(0)&&D.test(n+\"=\")&&n>\"a\"&&(B.x={...B.x,[\"ep.\"+"
        "n]:e.slice(0,200)})});let i=I(\"_ga\").split(\".\").slice(2).join("
        "\".\");i||(e._fv=1,i=f(),R(\"_ga\",\"GA1.1.\"+i));let a=I(C).match("
        "/^GS\\d\\.\\d\\.s\?(\\d+)[.$]o\?(\\d+)[.$]g\?(\\d)[.$]t\?(\\d+)(\\$"
        ".*)\?/)||[],r=+a[1],o=+a[2]||0;n-+a[4]<1800||(e._ss=1,r=n,o++,a[3]="
        "\"0\");let s=B.e||B.n>1\?1:a[3];return R(C,`GS2.1.s${r}$o${o}$g${s}"
        "$t${n}${a[5]||\"\"}`),F(),[{cid:i,sid:r,sct:o,seg:s,...B.c,...B.x,"
        "\"ep.is_first_visit\":1==o},e]}(),s=_({v:2,tid:l,_p:ze,...r,...$e(N"
        "e),...Ce,...i\?De:{},gcs:\"G1\"+\"-01\"[O(0)]+\"-01\"[O(1)],gcd:\"1"
        "3\"+a.map((e,t)=>\"lptmqunrv\"[y[t]+3*E(t)]).join(\"3\")+(a.some((e"
        ",t)=>O(t))\?\"5l1\":\"1l1\"),npa:+!L(3)}),c=_(o),d=qe.map(({n:e,v:t"
        ",w:{dl:a,dr:o,dt:s,uid:c,...l}})=>{let d=\"&\"+_({dl:Je(a),dr:Je(o)"
        ",dt:s}),u=_({en:e,...l,uid:i&&r.sct\?c:\"\",\"epn.page_view_number"
        "\":J+t});return n||=d,{n:e,l:d==n\?u:u+d}});qe=[],[0,1,2].forEach(t"
        "=>{let i=\"\",a=0,r=()=>{i&&function(e,t,n,i){let a={w:e,q:t,b:n,t:"
        "p()};i<2\?fe(a):(ce()&&(oe&&!le(a)||!se())||!navigator.sendBeacon(d"
        "e(a),n))&&ge(a)}(t,s+n+\"&_s=\"+ ++Ie,i,e),i=\"\",a=0};d.forEach(({"
        "n:e,l:n})=>{let o=Te.indexOf(We.get(e));(t\?o>0&&o&t&&(t<2||te&&ce("
        ")):o<1)&&((20==a||(i+n).length>15e3||(i+n).split(\"&\").length>900)"
        "&&r(),i+=(i&&\"\\r\\n\")+n+(c&&\"&\"+c),c=\"\",a++)}),r()})}functio"
        "n Ze(e,t={}){t.event_id=f(),u.push({sgtm_event:e,event_id:t.event_i"
        "d}),He(e,t)}var Be=e=>/^em/.test(e)\?/\\s/g:/^ph/.test(e)\?/[^\\d+]"
        "/g:/name/.test(e)\?/[\\s\\d\\p{P}\\p{S}]/gu:/[\\p{P}\\p{S}]/gu;asyn"
        "c function Fe(e){let t=await crypto.subtle.digest(\"SHA-256\",(new "
        "TextEncoder).encode(e));return[...new Uint8Array(t)].map(e=>(e+256)"
        ".toString(16).slice(1)).join(\"\")}var Ye=()=>{Ye=()=>{},st()},Ke=!"
        "0;function Qe(e,t,n){let i=t.version||o(\"consent-version\");if(!M("
        "e,t))return;L(1)||(ae=[],U(\"_sgtm_q\"),V={cid:f(),sid:P()},J=1-H,B"
        "={...Z,n:1,t:P()},R(\"_ga\",\"\"),R(C,\"\"),U(\"_sgtm\")),Y();let r"
        "=a.map((e,t)=>e+\"=\"+w[O(t)]).join();B.r!=r+i&&(B.r=r+i,Ze(\"conse"
        "nt_record\",{consent_state:r,consent_method:t.method||n,consent_ver"
        "sion:i})),L(0)||(B.x={}),F(),v(Ve,0)}function Xe(e){Object.assign(R"
        "e,e),Object.assign(Ce,Me(e.user_properties,\"up\")),e.user_data&"),
    ngx_string(
        "&Ge(async function(e){let t={},n={...e,...[].concat(e.address)[0]};"
        "for(let e of\"email_address phone_number first_name last_name stree"
        "t city region postal_code country\".split(\" \")){let i=[].concat(n"
        "[e]||n[e.split(\"_\")[0]]||n[\"sha256_\"+e]||[])[0];if(i){let n=Str"
        "ing(i).trim().toLowerCase();t[\"ep.user_data.\"+(/^(em|ph)/.test(e)"
        "\?\"\":\"address.\")+\"sha256_\"+e]=/^[\\da-f]{64}$/.test(n)\?n:awa"
        "it Fe(n.replace(Be(e),\"\"))}}return t}(e.user_data),De)}function e"
        "t(e,t,n){let i=t.event_callback||t.eventCallback;[].concat(t.send_t"
        "o||l).some(e=>e==l||\"default\"==e)&&(Ye(),t.event_id||=f(),n.event"
        "_id=t.event_id,Xe({user_data:t.user_data}),He(e,t)),i&&v(i,0)}var t"
        "t,nt,it,at,rt=n(e=>{\"[object Arguments]\"==String(e)\?function(e){"
        "let[t,n]=e,i=e[2]||{};\"consent\"==t\?Qe(n,i,\"gtag\"):\"event\"==t"
        "\?et(n,{...i},e[2]=i):\"set\"==t\?Xe(\"string\"==typeof n\?{[n]:i}:"
        "n):n==l&&\"config\"==t&&(Xe(i),Ke=Ke&&!1!==i.send_page_view)}(e):e."
        "event&&et(e.event,{...e,...e.ecommerce},e)});function ot(){let e=u."
        "push;u.push=(...t)=>{let n=e.apply(u,t);return t.forEach(rt),n},[.."
        ".u].forEach(rt),Ye()}function st(){let e=new URLSearchParams(locati"
        "on.search),t=(o(\"search\")||\"q,s,search,query,keyword\").split(\""
        ",\").find(t=>e.get(t));clearTimeout(it),it=0,Pe.l=location.href,tt="
        "p(),nt=0,Ke&&Ze(\"page_view\"),t&&Ze(\"search\",{search_term:e.get("
        "t)})}var ct=e=>e.replace(/#(\?![!/]).*/,\"\"),lt=n(()=>{ct(location"
        ".href)!=ct(Pe.l)&&(Pe.r=Pe.l,Pe.l=location.href,it||=v(st,100))});f"
        "unction dt(){let e=scrollY+innerHeight,n=100*(e+1)/t.documentElemen"
        "t.scrollHeight;for(at=0;nt<100&&n>=nt+25;)Ze(\"scroll\",{percent_sc"
        "rolled:nt+=25,scroll_depth_pixels:Math.round(e)})}function ut(){Ze("
        "\"user_engagement\",{time_on_page_sec:Math.round((p()-tt)/1e3),is_b"
        "ounce:!B.e&&B.n<2})}function pt(){B.e=1,ut()}function gt(e){it&&st("
        "),Se()>1e3&&ut(),Ve(e)}function mt(){[\"pushState\",\"replaceState"
        "\"].forEach(e=>{let t=history[e];history[e]=function(...e){let n=t."
        "apply(this,e);return lt(),n}}),h(\"popstate\",lt),h(\"pageshow\",e="
        ">{e.persisted&&st()}),h(\"scroll\",()=>{at||=v(dt,200)}),h(\"focus "
        "blur pageshow visibilitychange\",Se),Se(),h(\"visibilitychange\",()"
        "=>{\"hidden\"==t.visibilityState&&gt(1)}),h(\"pagehide\",()=>gt(2))"
        "}var _t=/\\.(pdf|xlsx\?|docx\?|txt|rtf|csv|exe|key|pp[st]x\?|7z|pkg"
        "|rar|gz|zip|avi|mov|mp[34]|mpe\?g|wmv|midi\?|wav|wma)$/i;function f"
        "t(e){let t=e.target.closest(\"[href]\"),n=new URL(t.href),i=_t.exec"
        "(n.pathname),a=/^http/.test(n.protocol)&&n.hostname!=location.hostn"
        "ame,r={link_id:t.id,link_text:t.textContent.trim(),link_url:t.href,"
        "link_domain:n.hostname};i\?Ze(\"file_download\",{...r,file_name:n.p"
        "athname,file_extension:i[1].toLowerCase()}):a&&Ze(\"click\",{...r,o"
        "utbound:a})}function ht(e){let n=t=>e.getAttribute(t);return{form_i"
        "d:n(\"id\"),form_name:n(\"name\"),form_destination:new URL(n(\"acti"
        "on\")||\"\",t.baseURI).href,lead_type:n(\"data-lead-type\"),lead_va"
        "lue:+n(\"data-lead-value\")||null}}function vt(e){let t=ht(e.target"
        ");Ze(\"form_submit\",t),(t.lead_type||t.lead_value)&&Ze(\"generate_"
        "lead\",t),Ve(1)}function wt(){let e=new WeakSet;h(\"click auxclick"
        "\",ft),h(\"submit\",vt),h(\"input\",({target:{form:t}})=>{t&&!e.has"
        "(t)&&(e.add(t),Ze(\"form_start\",ht(t)))})}var yt=e=>e\?\"granted\""
        ":\"denied\";function bt(e){if(e.gdprApplies){let t=e.vendor.consent"
        "s[755]\?e.purpose.consents:{};Ce.gdpr=1,Ce.gdpr_consent=e.tcString,"
        "Qe(\"update\",{ad_storage:yt(t[1]),ad_user_data:yt(t[1]&&t[7]),ad_p"
        "ersonalization:yt(t[3]&&t[4])},\"tcf\")}}function St({pingData:e}){"
        "/(Sale|Sharing|TargetedAdvertising)OptOut\":1/.test(JSON.stringify("
        "e))&&Qe(\"object\",{},\"gpp\")}function xt(){e.__tcfapi\?.(\"addEve"
        "ntListener\",2,n(bt)),e.__gpp\?.(\"addEventListener\",n(St))}var kt"
        "=/^https:\\/\\/www\\.youtube(-nocookie)\?\\.com(\\/.*enablejsapi=1|"
        "$)/,$t=new WeakSet,jt=new WeakMap;function Et(e,t,n,i,a,r){$t.has(e"
        ")||($t.add(e),Ze(\"video_start\",{video_provider:t,video_url:n,vide"
        "o_title:i,video_current_time:Math.round(a),video_duration:Math.roun"
        "d(r)}))}function Ot(){t.querySelectorAll(\"iframe\").forEach(e=>{kt"
        ".test(e.src)&&L(1)&&e.contentWindow.postMessage('{\"event\":\"liste"
        "ning\"}',\"*\")})}function Lt({origin:e,source:t,data:n}){if(kt.tes"
        "t(e)&&L(1)){let e={...jt.get(t),...JSON.parse(n).info};jt.set(t,e),"
        "1==e.playerState&&Et(t,\"you"),
    ngx_string(
        "tube\",e.videoUrl,e.videoData\?.title,e.currentTime,e.duration)}}fu"
        "nction Mt(){h(\"playing\",({target:e})=>{\"VIDEO\"==e.nodeName&&!e."
        "loop&&Et(e,\"html5\",e.currentSrc,e.title,e.currentTime,e.duration)"
        "}),h(\"message\",Lt),h(\"load blur\",Ot),Ot()}var At=e._sgtm||={};i"
        "f(l&&!At[l]&&!e.google_tag_manager\?.[l]){At[l]=1,e.sgtm=function()"
        "{u.push(arguments)},e.gtag||=e.sgtm,function(){let e=o(\"consent\")"
        ",t={wait_for_update:+o(\"wait\")||500};\"off\"!=k&&a.forEach((e,n)="
        ">{t[e]=w[\"1\"==i.d[n]\?2:1]}),s(e).forEach(([e,n])=>{t[e]=n}),(\"o"
        "ff\"!=k||e)&&(M(\"default\",t),S.fill(0))}();let r=e=>{r=()=>{},[()"
        "=>Ge(navigator.userAgentData\?.getHighEntropyValues([...xe.keys()])"
        ".then(e=>{let t={};return xe.forEach((n,i)=>{let a=e[i];t[n]=a===!!"
        "a\?+a:a.map\?.(e=>m(e.brand)+\";\"+m(e.version)).join(\"|\")||a}),t"
        "}),Ne),ot,xt,mt,wt,Mt,he].forEach(e=>n(e)()),\"pagehide\"==e.type&&"
        "Ve(2)};t.prerendering||\"loading\"==t.readyState\?h(\"DOMContentLoa"
        "ded prerenderingchange pagehide\",e=>t.prerendering||r(e)):r(0)}})("),
    ngx_null_string
};


static ngx_str_t  ngx_http_sgtm_snippet_light_tail[] = {
    ngx_string(
        ")}catch{}"),
    ngx_null_string
};


static ngx_str_t  ngx_http_sgtm_snippet_loader_head[] = {
    ngx_string(
        "try{($s=>{var t,e=window,n=document,r=t=>(...e)=>{try{return t(...e"
        ")}catch{}},a=$s,s=[\"ad_storage\",\"analytics_storage\",\"ad_user_d"
        "ata\",\"ad_personalization\"],c=n.currentScript,i=t=>c\?.getAttribu"
        "te(\"data-\"+t)||\"\",o=(t,e)=>i(e)||a[t],l=function(){let t=i(\"la"
        "yer\");return/^[a-z_]\\w*$/i.test(t)&&Array.isArray(e[t]\?\?[])\?t:"
        "\"dataLayer\"}(),g=e[l]||=[],u=o(\"c\",\"mode\"),f=(t,e)=>\"[object"
        " Arguments]\"==String(t)&&t[0]==e;function d(){let t=\"off\"==u;ret"
        "urn g.forEach(e=>{let n=f(e,\"consent\")&&e[2];n\?.analytics_storag"
        "e&&!n.region&&(t=\"granted\"==n.analytics_storage)}),t}function p(e"
        ",n){!e||d()\?(t=null,n()):t=n}var h,y=[i(\"container\"),i(\"tag-id"
        "\"),a.i].find(t=>/^(GTM\?|G|AW|DC)-[A-Z0-9]{4,20}$/.test(t)),_=/M-/"
        ".test(y),m=(_\?\"gtm.js\":\"gtag/js\")+\"\?id=\"+y+(\"dataLayer\"!="
        "l\?\"&l=\"+l:\"\"),w=function(){return arguments};try{h=e.trustedTy"
        "pes.createPolicy(\"sgtm\",{createScriptURL:t=>t})}catch{}function v"
        "(t,e){let r=n.createElement(\"script\");r.nonce=c\?.nonce||\"\",r.o"
        "nerror=e,r.src=h\?h.createScriptURL(t):t,(n.head||n.documentElement"
        ").appendChild(r)}var b,j=\"https://www.google-analytics.com\",S=\"_"
        "sgtm_d\",A=function(){let t=(c\?.src+\"\").split(/[\?#]/)[0];return"
        "/^https\?:/.test(t)&&t.endsWith(\"/\"+a.s)\?t.slice(0,-a.s.length):"
        "location.origin+a.p.replace(/^\\/*/,\"/\")}(),E=t=>({server_contain"
        "er_url:t,transport_url:t,first_party_collection:t!=j}),D=!a.r||\"an"
        "y\"==a.r,k=D&&\"starter\"==o(\"t\",\"tier\"),L=D&&\"client\"==o(\"f"
        "\",\"fallback\"),M=E(A.slice(0,-1)),O={...a.e};(b=i(\"events\"),b.s"
        "plit(/[,; ]+/).map(t=>t.split(\"=\"))).forEach(([t,e])=>{O[t]=e});v"
        "ar W=r(()=>{Object.keys(M).forEach(t=>{delete M[t]}),v(\"https://ww"
        "w.googletagmanager.com/\"+m)}),$=r(()=>d()&&e.sessionStorage[S]>Dat"
        "e.now());if(function(t){let n=e.google_tag_manager,r=e._sgtm||={};i"
        "f(!y||r[y]||n\?.[y])return!1;r[y]=1,e.sgtm=e.gtag||=function(){g.pu"
        "sh(arguments)};let c=function(){let t=i(\"consent\"),e={wait_for_up"
        "date:+i(\"wait\")||500};return\"off\"==t||g.some(t=>f(t,\"consent\""
        ")&&\"default\"==t[1])\?0:(\"off\"!=u&&s.forEach((t,n)=>{e[t]=\"1\"="
        "=a.d[n]\?\"granted\":\"denied\"}),t.replace(/(\\w+)=(granted|denied"
        ")(\?![^,; ])/g,(t,n,r)=>e[n]=r),Object.keys(e)[1]&&e)}(),o=c\?[w(\""
        "consent\",\"default\",c)]:[],d=t\?[t,w(\"set\",t)]:[];if(_||d.push("
        "w(\"js\",new Date),t\?w(\"config\",y,t):w(\"config\",y)),n\?.[l])g."
        "push(...o,...d);else{let t=g.findIndex(t=>t&&(t.event||/event|confi"
        "g/.test(t[0])));g.splice(t<0\?g.length:t,0,...d),g.unshift(...o)}re"
        "turn _&&g.push({\"gtm.start\":Date.now(),event:\"gtm.js\"}),!0}(k\?"
        "void 0:M)){let n=new WeakSet;(function(e){let n=g.push;g.splice(0,g"
        ".length,...g.flatMap(e)),Object.defineProperty(g,\"push\",{configur"
        "able:!0,get:()=>{let r=n;return(...n)=>{let a=r.apply(g,n.flatMap(e"
        "));try{t&&p(!0,t)}catch{}return a}},set:t=>{n=t}})})(t=>{if(!f(t,\""
        "event\")||n.has(t))return[t];let e=O[t[1]],r=w(t[0],t[1],{...t[2],."
        "..E(k\?A.slice(0,-1):j)});return n.add(t),n.add(r),\"off\"==e\?[]:D"
        "\?\"both\"==e\?[t,r]:e==(k\?\"server\":\"client\")\?[r]:[t]:\"clien"
        "t\"==e\?[]:[t]}),k\?p(\"basic\"==u,W):L&&$()\?W():v(A+m,L\?()=>p(!0"
        ",()=>{r(()=>{e.sessionStorage[S]=Date.now()+3e5})(),W()}):void 0)}}"
        ")("),
    ngx_null_string
};


static ngx_str_t  ngx_http_sgtm_snippet_loader_tail[] = {
    ngx_string(
        ")}catch{}"),
    ngx_null_string
};


static ngx_str_t  ngx_http_sgtm_snippet_starter_head[] = {
    ngx_string(
        "try{($s=>{var t,e=window,n=document,a=$s,r=[\"ad_storage\",\"analyt"
        "ics_storage\",\"ad_user_data\",\"ad_personalization\"],c=n.currentS"
        "cript,o=t=>c\?.getAttribute(\"data-\"+t)||\"\",s=\"dataLayer\",i=e["
        "s]||=[],g=o(\"mode\")||a.c,l=(t,e)=>\"[object Arguments]\"==String("
        "t)&&t[0]==e;function u(e,n){!e||function(){let t=!1;return i.forEac"
        "h(e=>{let n=l(e,\"consent\")&&e[2];n\?.analytics_storage&&!n.region"
        "&&(t=\"granted\"==n.analytics_storage)}),t}()\?(t=null,n()):t=n}var"
        " d,f=[o(\"container\"),o(\"tag-id\"),a.i].find(t=>/^(GTM\?|G|AW|DC)"
        "-[A-Z0-9]{4,20}$/.test(t)),p=/M-/.test(f),h=(p\?\"gtm.js\":\"gtag/j"
        "s\")+\"\?id=\"+f,m=function(){return arguments};try{d=e.trustedType"
        "s.createPolicy(\"sgtm\",{createScriptURL:t=>t})}catch{}(function(){"
        "let t=e.google_tag_manager,n=e._sgtm||={};if(!f||n[f]||t\?.[f])retu"
        "rn!1;n[f]=1,e.sgtm=e.gtag||=function(){i.push(arguments)};let c=fun"
        "ction(){let t=o(\"consent\"),e={wait_for_update:+o(\"wait\")||500};"
        "return\"off\"==t||i.some(t=>l(t,\"consent\")&&\"default\"==t[1])\?0"
        ":(\"off\"!=g&&r.forEach((t,n)=>{e[t]=\"1\"==a.d[n]\?\"granted\":\"d"
        "enied\"}),t.replace(/(\\w+)=(granted|denied)(\?![^,; ])/g,(t,n,a)=>"
        "e[n]=a),Object.keys(e)[1]&&e)}(),u=c\?[m(\"consent\",\"default\",c)"
        "]:[],d=[];if(p||d.push(m(\"js\",new Date),m(\"config\",f)),t\?.[s])"
        "i.push(...u,...d);else{let t=i.findIndex(t=>t&&(t.event||/event|con"
        "fig/.test(t[0])));i.splice(t<0\?i.length:t,0,...d),i.unshift(...u)}"
        "return p&&i.push({\"gtm.start\":Date.now(),event:\"gtm.js\"}),!0})("
        ")&&(function(e){let n=i.push;i.splice(0,i.length,...i.flatMap(e)),O"
        "bject.defineProperty(i,\"push\",{configurable:!0,get:()=>{let a=n;r"
        "eturn(...n)=>{let r=a.apply(i,n.flatMap(e));try{t&&u(!0,t)}catch{}r"
        "eturn r}},set:t=>{n=t}})}(t=>l(t,\"event\")&&\"off\"==a.e\?.[t[1]]"
        "\?[]:[t]),u(\"basic\"==g,()=>function(t){let e=n.createElement(\"sc"
        "ript\");e.nonce=c\?.nonce||\"\",e.src=d\?d.createScriptURL(t):t,(n."
        "head||n.documentElement).appendChild(e)}(\"https://www.googletagman"
        "ager.com/\"+h)))})("),
    ngx_null_string
};


static ngx_str_t  ngx_http_sgtm_snippet_starter_tail[] = {
    ngx_string(
        ")}catch{}"),
    ngx_null_string
};


static ngx_http_sgtm_snippet_t  ngx_http_sgtm_snippets[] = {

    { ngx_string("light"),
      ngx_http_sgtm_snippet_light_head,
      ngx_http_sgtm_snippet_light_tail },

    { ngx_string("loader"),
      ngx_http_sgtm_snippet_loader_head,
      ngx_http_sgtm_snippet_loader_tail },

    { ngx_string("starter"),
      ngx_http_sgtm_snippet_starter_head,
      ngx_http_sgtm_snippet_starter_tail }
};


#endif /* _NGX_HTTP_SGTM_SNIPPET_H_INCLUDED_ */
