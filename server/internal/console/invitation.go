package console

func invitationPages() []page {
	return nil
}
