// Connects to itself through package net, and by the bare system call; prints TCP_NODELAY of the latter.
package main

import (
	"fmt"
	"net"
	"syscall"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	address := listener.Addr().(*net.TCPAddr)
	done := make(chan error)
	for range [50]struct{}{} {
		go func() {
			client, err := net.Dial("tcp", address.String())
			if err == nil {
				err = client.Close()
			}
			done <- err
		}()
	}
	for range [50]struct{}{} {
		check(<-done)
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	check(err)
	check(syscall.Connect(fd, &syscall.SockaddrInet4{Port: address.Port, Addr: [4]byte{127, 0, 0, 1}}))
	value, err := syscall.GetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY)
	check(err)
	fmt.Println(value)
}
