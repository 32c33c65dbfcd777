# What both plugins are built of: included after NAME and FILES_DSP.
DPF_PATH ?= /usr/share/dpf
DPF_TARGET_DIR = ../bin
DPF_BUILD_DIR = ../build/$(NAME)
FILES_DSP += Client.cpp Connection.cpp Wire.cpp
VPATH = ../client
include $(DPF_PATH)/Makefile.plugins.mk
BUILD_CXX_FLAGS += -fno-fast-math -I. -I../client $(shell pkg-config --cflags libzmq libsodium)
LINK_FLAGS += $(shell pkg-config --libs libzmq libsodium) -lpthread
all: lv2_dsp vst3 clap
