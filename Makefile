# Builds and tests ngx_http_sgtm_module; "make help" says what can be made.

SHELL = /bin/bash

BUILD ?= release
NGINX_SRC ?=
STATIC ?=
V ?=

FUZZ_SECONDS ?= 60
TEST_JOBS ?= 3
TESTS ?=

JOBS := $(shell nproc 2> /dev/null || echo 1)
TOP := $(CURDIR)
MODULE = ngx_http_sgtm_module


# the flavours

CC_OPT_release = -O3 -fstack-protector-strong -D_FORTIFY_SOURCE=2 \
    -Wformat -Werror=format-security
LD_OPT_release = -Wl,-z,relro -Wl,-z,now

CC_OPT_debug = -O0 -g3
LD_OPT_debug =

CC_OPT_sanitize = -O1 -g3 -fno-omit-frame-pointer -fsanitize=address,undefined
LD_OPT_sanitize = -fsanitize=address,undefined

CC_OPT := $(strip $(CC_OPT_$(BUILD)))
LD_OPT := $(strip $(LD_OPT_$(BUILD)))

ifeq ($(CC_OPT),)
$(error BUILD is "$(BUILD)", but may be release, debug or sanitize)
endif


# Which nginx.  The tree is never written to: the build directory holds links
# to its parts and nginx's own configure runs there.

ifeq ($(NGINX_SRC),)

ifneq ($(STATIC),)
$(error STATIC=1 needs a whole source tree of nginx: NGINX_SRC=<directory>)
endif

NGX_TREE := /usr/share/nginx/src
NGX_FLAGS_FILE := $(NGX_TREE)/conf_flags
NGX_FLAGS = "$${NGX_CONF_FLAGS[@]}"
OUT := build/$(BUILD)

else

NGX_TREE := $(realpath $(NGINX_SRC))

ifeq ($(wildcard $(NGX_TREE)/src/core/nginx.h),)
$(error NGINX_SRC is "$(NGINX_SRC)", which is no source tree of nginx)
endif

NGX_VERSION := $(shell sed -n 's/^\#define NGINX_VERSION *"\(.*\)"/\1/p' \
    $(NGX_TREE)/src/core/nginx.h)
NGX_FLAGS_FILE :=
NGX_FLAGS = --with-compat --with-debug --with-threads --with-http_ssl_module \
    --with-http_v2_module --with-http_realip_module --with-http_sub_module \
    --with-http_stub_status_module --with-http_gunzip_module
OUT := build/nginx-$(NGX_VERSION)/$(BUILD)$(if $(STATIC),-static)

endif

TREE := $(OUT)/tree
SO := $(OUT)/$(MODULE).so

CONFIGURE = ./configure $(NGX_FLAGS) \
    $(if $(filter default,$(origin CC)),,--with-cc="$(CC)") \
    --with-cc-opt="$(CC_OPT)" --with-ld-opt="$(LD_OPT)" --builddir=objs \
    --add-$(if $(STATIC),,dynamic-)module="$(TOP)"

NGX_MAKE = $(MAKE) $(if $(V),,-s --no-print-directory) -C $(TREE) \
    -f objs/Makefile $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(JOBS))


# what the tests are told

export SGTM_BUILD := $(BUILD)
export SGTM_MODULE := $(if $(STATIC),static,$(TOP)/$(SO))

ifneq ($(NGINX_SRC),)
export SGTM_NGINX := $(TOP)/$(OUT)/nginx
endif


.PHONY: all setup nginx tools unit run test lint fuzz fuzz-targets bench \
    soak snippet clean help FORCE

all: $(if $(STATIC),nginx,module) tools


help:
	@echo 'make                builds build/$(MODULE).so for the nginx'
	@echo '                    that is installed (packages nginx, nginx-dev)'
	@echo 'make tools          builds build/sgtm-spool, sgtm-tenants, sgtm-meter,'
	@echo '                    part of "make"'
	@echo 'make run            the demo, in the foreground'
	@echo 'make test           all tests; TESTS="t/00-build.t" for some'
	@echo 'make lint           style and static checks'
	@echo 'make fuzz           each fuzz target for FUZZ_SECONDS=60'
	@echo 'make bench          the benchmark'
	@echo 'make soak           the proofs that no hit is lost; SOAK_ONLY=name'
	@echo 'make snippet        builds t.js from snippet/ into src/page/'
	@echo 'make setup          installs what building needs'
	@echo 'make clean          removes build/'
	@echo
	@echo 'BUILD=release       or debug, or sanitize: the flavour; the last'
	@echo '                    two are built in build/debug, build/sanitize'
	@echo 'NGINX_SRC=<tree>    builds in build/nginx-<version>/ for a source'
	@echo '                    tree of nginx, which is not written to'
	@echo 'STATIC=1            with NGINX_SRC: an nginx with the module inside'
	@echo 'V=1                 shows the commands of the compiler'


setup:
	@tools/setup.sh build


# configure, when the module's config or a flag has changed

$(TREE)/objs/Makefile: config $(OUT)/configuration $(NGX_FLAGS_FILE) \
    $(NGX_TREE)/src/core/nginx.h
	@echo "configuring for nginx in $(NGX_TREE)"
	@rm -rf $(TREE) && mkdir -p $(TREE)
	@for name in $(NGX_TREE)/*; do \
	    case $${name##*/} in \
	        objs | Makefile) ;; \
	        *) ln -s "$$name" $(TREE)/ ;; \
	    esac; \
	done
	@test -e $(TREE)/configure \
	    || ln -s $(NGX_TREE)/auto/configure $(TREE)/configure
	@cd $(TREE) \
	    && $(if $(NGX_FLAGS_FILE),. $(NGX_FLAGS_FILE) &&) \
	    ASAN_OPTIONS=detect_leaks=0 $(CONFIGURE) > ../configure.log 2>&1 \
	    || { sed -n '/error:/,$$p' ../configure.log >&2; \
	         echo "(all of it: $(OUT)/configure.log)" >&2; \
	         rm -f objs/Makefile; exit 1; }


# the command line of configure, touched only when it differs

$(OUT)/configuration: FORCE
	@mkdir -p $(OUT)
	@echo '$(subst ','\'',$(NGX_TREE) $(CONFIGURE))' > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@


$(NGX_TREE)/conf_flags $(NGX_TREE)/src/core/nginx.h:
	@echo 'nginx cannot be built against: $@ is missing.' >&2
	@echo 'Debian has it in the package nginx-dev ("make setup" installs' >&2
	@echo 'it); for another nginx: make NGINX_SRC=<its source tree>.' >&2
	@exit 1


.PHONY: module

module: $(TREE)/objs/Makefile
	@$(NGX_MAKE) modules
	@cmp -s $(TREE)/objs/$(MODULE).so $(SO) \
	    || install -m 644 $(TREE)/objs/$(MODULE).so $(SO)
ifeq ($(OUT),build/release)
	@cmp -s $(SO) build/$(MODULE).so \
	    || install -m 644 $(SO) build/$(MODULE).so
	@echo "built build/$(MODULE).so"
else
	@echo "built $(SO)"
endif


nginx: $(TREE)/objs/Makefile
	@$(NGX_MAKE) binary
	@cmp -s $(TREE)/objs/nginx $(OUT)/nginx \
	    || install -m 755 $(TREE)/objs/nginx $(OUT)/nginx
	@echo "built $(OUT)/nginx"


# Programs on the code that knows no nginx, in the flavours of the module

TOOLS_OUT := build$(if $(filter release,$(BUILD)),,/$(BUILD))
HIT_SRCS := $(wildcard src/hit/*.c)
HIT_LIBS = -lcjson -lcrypto
STORE_SRCS := $(wildcard src/delivery/sgtm_*.c)
STORE_LIBS = -lsqlite3
METER_SRCS := $(wildcard src/ops/sgtm_meter*.c) src/delivery/sgtm_file.c \
    src/tenant/sgtm_process.c
TENANT_SRCS := $(wildcard src/tenant/sgtm_*.c src/lib/sgtm_*.c)

# whether bytes are UTF-8 is what is asked of hit
SPOOL_SRCS = tools/sgtm-spool.c tools/sgtm-spool-args.c \
    tools/sgtm-spool-print.c $(STORE_SRCS) \
    src/hit/sgtm_args_code.c src/hit/sgtm_json_check.c

TOOLS_CFLAGS = -std=c11 -g -Wall -Wextra -Werror -Isrc $(CC_OPT)

TENANTS_SRCS = $(sort $(wildcard tools/sgtm-tenants*.c)) $(TENANT_SRCS) \
    $(HIT_SRCS)

tools: $(TOOLS_OUT)/sgtm-spool $(TOOLS_OUT)/sgtm-tenants \
    $(TOOLS_OUT)/sgtm-meter
	@:

$(TOOLS_OUT)/sgtm-spool: $(SPOOL_SRCS) tools/sgtm-spool.h \
    $(wildcard src/delivery/sgtm_*.h src/hit/*.h)
	@mkdir -p $(@D)
	$(if $(V),,@)$(CC) $(TOOLS_CFLAGS) -o $@ $(SPOOL_SRCS) $(LD_OPT) \
	    $(STORE_LIBS)
	@echo "built $@"

# ids are written as hits are

$(TOOLS_OUT)/sgtm-meter: tools/sgtm-meter.c tools/sgtm-spool-print.c \
    $(METER_SRCS) src/hit/sgtm_args_code.c src/hit/sgtm_json_check.c \
    tools/sgtm-spool.h \
    $(wildcard src/ops/sgtm_*.h src/hit/*.h)
	@mkdir -p $(@D)
	$(if $(V),,@)$(CC) $(TOOLS_CFLAGS) -o $@ $(filter %.c,$^) $(LD_OPT) \
	    $(STORE_LIBS)
	@echo "built $@"

$(TOOLS_OUT)/sgtm-tenants: $(TENANTS_SRCS) tools/sgtm-tenants.h \
    $(wildcard src/tenant/sgtm_*.h src/lib/sgtm_*.h src/hit/*.h)
	@mkdir -p $(@D)
	$(if $(V),,@)$(CC) $(TOOLS_CFLAGS) -Isrc/hit -o $@ $(TENANTS_SRCS) \
	    $(LD_OPT) $(HIT_LIBS)
	@echo "built $@"


# Unit tests and fuzz targets of what knows no nginx: src/hit, the store.  They
# are sanitized in every flavour.

UNITS := $(patsubst t/unit/%.c,build/unit/%,$(wildcard t/unit/*.c))
STORE_UNITS := $(filter build/unit/store%,$(UNITS))
METER_UNITS := $(filter build/unit/meter%,$(UNITS))
FUZZERS := $(patsubst fuzz/%.c,build/fuzz/%,$(wildcard fuzz/*.c))

HIT_CFLAGS = -std=c11 -g -O1 -fno-omit-frame-pointer -Wall -Wextra -Werror \
    -Isrc -Isrc/hit -MMD -MP
UNIT_SAN = -fsanitize=address,undefined -fno-sanitize-recover=all
FUZZ_CC = clang
FUZZ_SAN = -fsanitize=address,undefined -fno-sanitize-recover=all

unit: $(UNITS)
	@:

build/unit/hit/%.o: src/hit/%.c
	@mkdir -p $(@D)
	$(if $(V),,@)$(CC) $(HIT_CFLAGS) $(UNIT_SAN) -c -o $@ $<

build/unit/delivery/%.o: src/delivery/%.c
	@mkdir -p $(@D)
	$(if $(V),,@)$(CC) $(HIT_CFLAGS) $(UNIT_SAN) -c -o $@ $<

$(STORE_UNITS): build/unit/%: build/unit/%.o \
    $(STORE_SRCS:src/%.c=build/unit/%.o) \
    $(HIT_SRCS:src/hit/%.c=build/unit/hit/%.o)
	$(if $(V),,@)$(CC) $(UNIT_SAN) -o $@ $^ $(STORE_LIBS) $(HIT_LIBS)

build/unit/ops/%.o: src/ops/%.c
	@mkdir -p $(@D)
	$(if $(V),,@)$(CC) $(HIT_CFLAGS) $(UNIT_SAN) -c -o $@ $<

$(METER_UNITS): build/unit/%: build/unit/%.o \
    $(METER_SRCS:src/%.c=build/unit/%.o)
	$(if $(V),,@)$(CC) $(UNIT_SAN) -o $@ $^ $(STORE_LIBS)

build/unit/%.o: t/unit/%.c
	@mkdir -p $(@D)
	$(if $(V),,@)$(CC) $(HIT_CFLAGS) -It/unit $(UNIT_SAN) -c -o $@ $<

build/unit/%: build/unit/%.o $(HIT_SRCS:src/hit/%.c=build/unit/hit/%.o)
	$(if $(V),,@)$(CC) $(UNIT_SAN) -o $@ $^ $(HIT_LIBS)

build/fuzz/delivery/%.o: src/delivery/%.c
	@mkdir -p $(@D)
	$(if $(V),,@)$(FUZZ_CC) $(HIT_CFLAGS) $(FUZZ_SAN) \
	    -fsanitize=fuzzer-no-link -c -o $@ $<

build/fuzz/segment: $(STORE_SRCS:src/%.c=build/fuzz/%.o)
build/fuzz/segment: HIT_LIBS += $(STORE_LIBS)

fuzz-targets: $(FUZZERS)
	@:

build/fuzz/hit/%.o: src/hit/%.c
	@mkdir -p $(@D)
	$(if $(V),,@)$(FUZZ_CC) $(HIT_CFLAGS) $(FUZZ_SAN) \
	    -fsanitize=fuzzer-no-link -c -o $@ $<

build/fuzz/%.o: fuzz/%.c
	@mkdir -p $(@D)
	$(if $(V),,@)$(FUZZ_CC) $(HIT_CFLAGS) $(FUZZ_SAN) \
	    -fsanitize=fuzzer-no-link -c -o $@ $<

build/fuzz/%: build/fuzz/%.o $(HIT_SRCS:src/hit/%.c=build/fuzz/hit/%.o)
	$(if $(V),,@)$(FUZZ_CC) $(FUZZ_SAN) -fsanitize=fuzzer -o $@ $^ \
	    $(HIT_LIBS)

.PRECIOUS: build/unit/%.o build/unit/hit/%.o build/unit/delivery/%.o \
    build/fuzz/%.o build/fuzz/hit/%.o build/fuzz/delivery/%.o

-include $(wildcard build/unit/*.d build/unit/hit/*.d build/unit/delivery/*.d \
    build/fuzz/*.d build/fuzz/hit/*.d build/fuzz/delivery/*.d)


# the same of tenants, in src/tenant and src/lib, and of the orders of shops, in
# src/intake, which knows both

TENANT_UNITS := $(filter build/unit/tenant_% build/unit/form,$(UNITS))
ORDER_SRCS := $(wildcard src/intake/sgtm_*.c) $(TENANT_SRCS)
ORDER_UNITS := $(addprefix build/unit/,memory money order signature)

build/unit/intake/%.o: src/intake/%.c
	@mkdir -p $(@D)
	$(if $(V),,@)$(CC) $(HIT_CFLAGS) $(UNIT_SAN) -c -o $@ $<

build/unit/lib/%.o: src/lib/%.c
	@mkdir -p $(@D)
	$(if $(V),,@)$(CC) $(HIT_CFLAGS) $(UNIT_SAN) -c -o $@ $<

build/unit/tenant/%.o: src/tenant/%.c
	@mkdir -p $(@D)
	$(if $(V),,@)$(CC) $(HIT_CFLAGS) $(UNIT_SAN) -c -o $@ $<

build/unit/place/%.o: src/place/%.c
	@mkdir -p $(@D)
	$(if $(V),,@)$(CC) $(HIT_CFLAGS) $(UNIT_SAN) -c -o $@ $<

build/unit/country: build/unit/place/sgtm_country.o

$(TENANT_UNITS): $(TENANT_SRCS:src/%.c=build/unit/%.o)

# two have the registry in them, to let it die at each of its steps

REGISTRY_SRCS := $(wildcard src/tenant/sgtm_registry*.c)

build/unit/registry build/unit/registry_deaths: $(patsubst src/%.c, \
    build/unit/%.o,$(filter-out $(REGISTRY_SRCS),$(TENANT_SRCS)))

build/unit/registry_shared: $(TENANT_SRCS:src/%.c=build/unit/%.o)

$(ORDER_UNITS): $(ORDER_SRCS:src/%.c=build/unit/%.o)

build/fuzz/intake/%.o: src/intake/%.c
	@mkdir -p $(@D)
	$(if $(V),,@)$(FUZZ_CC) $(HIT_CFLAGS) $(FUZZ_SAN) \
	    -fsanitize=fuzzer-no-link -c -o $@ $<

build/fuzz/lib/%.o: src/lib/%.c
	@mkdir -p $(@D)
	$(if $(V),,@)$(FUZZ_CC) $(HIT_CFLAGS) $(FUZZ_SAN) \
	    -fsanitize=fuzzer-no-link -c -o $@ $<

build/fuzz/tenant/%.o: src/tenant/%.c
	@mkdir -p $(@D)
	$(if $(V),,@)$(FUZZ_CC) $(HIT_CFLAGS) $(FUZZ_SAN) \
	    -fsanitize=fuzzer-no-link -c -o $@ $<

build/fuzz/order: $(ORDER_SRCS:src/%.c=build/fuzz/%.o)

build/fuzz/tenants build/fuzz/fill: $(TENANT_SRCS:src/%.c=build/fuzz/%.o)

.PRECIOUS: build/unit/intake/%.o build/unit/lib/%.o build/unit/tenant/%.o \
    build/fuzz/intake/%.o build/fuzz/lib/%.o build/fuzz/tenant/%.o

-include $(wildcard build/unit/intake/*.d build/unit/lib/*.d \
    build/unit/tenant/*.d build/fuzz/intake/*.d build/fuzz/lib/*.d \
    build/fuzz/tenant/*.d)


# and of what pages are looked at for, in src/page

PAGE_SRCS := $(wildcard src/page/sgtm_*.c)
PAGE_UNITS := $(addprefix build/unit/,head csp)
PAGE_FUZZERS := $(addprefix build/fuzz/,head csp)

build/unit/page/%.o: src/page/%.c
	@mkdir -p $(@D)
	$(if $(V),,@)$(CC) $(HIT_CFLAGS) $(UNIT_SAN) -c -o $@ $<

$(PAGE_UNITS): $(PAGE_SRCS:src/%.c=build/unit/%.o)

build/fuzz/page/%.o: src/page/%.c
	@mkdir -p $(@D)
	$(if $(V),,@)$(FUZZ_CC) $(HIT_CFLAGS) $(FUZZ_SAN) \
	    -fsanitize=fuzzer-no-link -c -o $@ $<

$(PAGE_FUZZERS): $(PAGE_SRCS:src/%.c=build/fuzz/%.o)

.PRECIOUS: build/unit/page/%.o build/fuzz/page/%.o

-include $(wildcard build/unit/page/*.d build/fuzz/page/*.d)


# the module, and where it is for another nginx than the one that is installed,
# that nginx as well

WHOLE = $(if $(STATIC),nginx,module $(if $(NGINX_SRC),nginx))

run:
	@tools/setup.sh run
	@$(MAKE) --no-print-directory $(WHOLE)
	@exec demo/run.sh


# Everything: the linter, the fuzz targets and the snippet's own tests are .t
# files as well, so the end is prove's summary.

test:
	@tools/setup.sh test
	@$(MAKE) --no-print-directory $(WHOLE) tools unit fuzz-targets
	@prove -j$(TEST_JOBS) $(or $(TESTS),t/*.t $(UNITS))


lint:
	@tools/setup.sh test
	@tools/lint


fuzz: fuzz-targets
	@FUZZ_SECONDS=$(FUZZ_SECONDS) tools/fuzz


bench:
	@tools/setup.sh bench
	@$(MAKE) --no-print-directory $(WHOLE)
	@exec bench/run


soak:
	@tools/setup.sh soak
	@$(MAKE) --no-print-directory $(WHOLE)
	@exec soak/run


snippet:
	@tools/setup.sh test
	@cd snippet && npm run --silent build


clean:
	rm -rf build
