# What all plugins are built of: included after NAME, CHANNELS and FILES_DSP. DPF_PATH comes from ../Makefile.
DPF_TARGET_DIR = ../bin
DPF_BUILD_DIR = ../build/$(NAME)
FILES_DSP += Client.cpp Connection.cpp Wire.cpp
VPATH = ../client
include $(DPF_PATH)/Makefile.plugins.mk
BUILD_CXX_FLAGS += -fno-fast-math -DAIRBAND_CHANNELS=$(CHANNELS) -I. -I../client
BUILD_CXX_FLAGS += $(shell pkg-config --cflags libzmq libsodium)
LINK_FLAGS += $(shell pkg-config --libs libzmq libsodium) -lpthread
all: lv2_dsp vst3 clap
