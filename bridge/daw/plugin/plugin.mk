# What all plugins are built of: included after NAME, CHANNELS, FILES_DSP and FILES_UI. DPF_PATH comes from ../Makefile.
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
