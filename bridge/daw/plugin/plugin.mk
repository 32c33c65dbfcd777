# Build rules of all plugins: to include after NAME, CHANNELS, FILES_DSP and FILES_UI. ../Makefile sets DPF_PATH.
DPF_TARGET_DIR = ../bin
DPF_BUILD_DIR = ../build/$(NAME)
FILES_UI += Panel.cpp
VPATH = ../panel
include $(DPF_PATH)/Makefile.plugins.mk
BUILD_CXX_FLAGS += -fno-fast-math -DAIRBAND_CHANNELS=$(CHANNELS) -I. -I../client -I../panel
LIBRARIES ?= $(shell pkg-config --libs libzmq libsodium) -lpthread
LINK_FLAGS += $(LIBRARIES)
$(lv2) $(vst3) $(clap): ../build/client.a
all: $(FORMATS)
